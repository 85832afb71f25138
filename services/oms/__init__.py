"""The order's life, and the positions and cash it leads to, per account."""
