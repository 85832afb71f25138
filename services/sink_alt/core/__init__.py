"""What the sink decides: what a question asks for, what is kept, and of which symbols a text speaks."""
