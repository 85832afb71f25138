"""The normalizer makes bars of ticks: the only place where a bar is begun, said and corrected."""
