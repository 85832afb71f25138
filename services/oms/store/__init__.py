"""What the oms remembers: written by `orders`, shown to people by `archive`."""
