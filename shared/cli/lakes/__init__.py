"""Reading the lake from the command line: exporting a symbol, and asking in SQL."""
