"""The drawing: what is promised of the code as a whole, held against the code."""
