"""Stories told to the real processes, from outside, as a client would."""
