"""What people see, and the doors through which they decide."""
