"""What the sink remembers: the ledger of what was heard, and the documents themselves in the lake and the index."""
