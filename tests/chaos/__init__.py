"""The chaos harness: faults on order against a suite of real processes, judged by records of independent parties.

`python -m tests.chaos --profile pr --seed 7` plays a plan that follows from its seed alone: which fault, when, to whom.
Each loop loads the suite with orders, strikes, waits until all is well again, and compares what the client was told,
what the venue did, what is stored and what is on the tape. A violation is printed with its evidence and its command.
"""
