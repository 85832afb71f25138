"""The live gateway owns orders at a venue: it sends them out and brings back what became of them."""
