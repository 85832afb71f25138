"""What the gateway remembers: orders and fills, kills and modes."""
