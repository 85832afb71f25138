"""Where market data comes from: the simulated market, and replays of recorded files."""
