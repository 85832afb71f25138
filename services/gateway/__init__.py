"""The gateway owns market data coming in: where it comes from, what it says, and how far it can be trusted."""
