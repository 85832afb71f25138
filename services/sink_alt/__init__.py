"""The sink of alternative documents keeps news and other texts, each once, in the lake and in the search index."""
