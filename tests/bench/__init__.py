"""What the suite costs and how fast it is: `make bench`."""
