"""What is done: one folder per process, none of which imports another."""
