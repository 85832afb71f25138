"""What risk decides, from memory alone."""
