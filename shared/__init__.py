"""What every service stands on: contract (what is said), domain (what is known), kit (how it runs)."""
