"""The command line: starts, stops and inspects a suite, and trades through its front door like any other client."""
