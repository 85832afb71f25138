"""Deterministic simulation: the trading core's own shells in one process, under one seed, in a world that fails.

    loop       time that jumps, lives that stop and end
    world      the seed, the log, the faults of a run
    store      the store as each life reaches it; the log of its commits
    broker     streams, and who hears them; bus: how a life speaks; ears: how it hears
    process    a service from its start to its end, and its next life
    clients    who trades; market: what is quoted; trouble: what goes wrong
    books      what must hold after every commit; audit: what must hold in the end
    run        one seed; plants: bugs that must be found

The shells, the journal and the lanes are the real ones. The store, the bus, the clock and the network are not.
"""
