"""Deterministic simulation: the trading core's own shells in one process, under one seed, in a world that fails.

    loop       time that jumps, lives that stop and end
    world      the seed, the log, the faults of a run
    store      the store as each life reaches it; the log of its commits
    broker     streams, and who hears them; bus: how a life speaks; ears: how it hears
    process    a service from its start to its end, and its next life
    exchange   a real venue, and what it truly has; venue: the way there, over a bad line
    clients    who trades; wishes: what they want; doors: how they ask; market: what is quoted
    people     who stops things, lets them go on, and releases what waits; trouble: what goes wrong
    books      what must hold after every commit; worst: what may come of it; audit: what must hold at rest
    tally      how often what was committed
    run        one seed; plants: bugs that must be found

The shells, the journal and the lanes are the real ones, and so is the desk that deals with real venues. The store, the
bus, the clock, the network and the exchange are not.
"""
