"""The event loop that services run on: uvloop, with a hole in it closed.

Given a socket to connect (as aiohttp does), uvloop takes its descriptor over; if the call is cancelled, as by a
timeout, uvloop closes it and leaves the socket behind, which closes the same number once more when it is thrown away:
by then perhaps another connection's (MagicStack/uvloop#738).
"""

from __future__ import annotations

from typing import Any

import uvloop


class Loop(uvloop.Loop):
    """A socket whose connecting failed is known to be closed."""

    async def create_connection(self, *args: Any, **words: Any) -> Any:
        try:
            return await super().create_connection(*args, **words)
        except BaseException:
            if (sock := words.get("sock")) is not None:
                sock.detach()
            raise
