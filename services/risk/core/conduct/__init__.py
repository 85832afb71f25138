"""How an account or strategy behaves: how much it sends, how often the same, how often too far off."""
