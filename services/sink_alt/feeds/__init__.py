"""Where documents come from: RSS, Atom and JSON over HTTP, fetched every so often."""
