"""What the sink decides: which rows a message makes (`rows`), and how they wait as columns (`sheets`)."""
