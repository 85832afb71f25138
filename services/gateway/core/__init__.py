"""What the gateway decides: how orders match in the simulated market, and what is known of every market."""
