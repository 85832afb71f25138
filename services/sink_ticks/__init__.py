"""The sink writes what the suite says onto the tape: ticks, quotes, bars, orders and fills, each once."""
