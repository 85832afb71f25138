"""Mock venues: market data of a recording, over real sockets, in the venue's own protocol, with faults on order."""
