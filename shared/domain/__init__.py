"""What is known: the trade's own rules as pure functions of values. No clock, no wire, no store."""
