"""What accounts, strategies and the firm hold and have open, and what it is worth at worst."""
