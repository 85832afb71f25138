"""What recorded files look like, one module per format, and how their lines become columns."""
