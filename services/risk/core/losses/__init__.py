"""What firm, accounts and strategies have lost, and what they are stopped for."""
