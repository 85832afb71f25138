"""What the scopes in reach of an order allow together, and which version of it stands."""
