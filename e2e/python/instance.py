"""An instance of a fleet on Python's `pysignalr`, back for ever. It says what it is told.

The client puts the connection's id in the place of the one in its URL, so what the URL says of the
instance is said by `Join` and `Watch`.
"""

import argparse
import asyncio
import os
import sys
import threading
from urllib import parse

from pysignalr.client import SignalRClient

from process import say

done = {}


async def command(arguments):
    order = arguments[0]
    again = order["id"] in done
    say({"event": "again" if again else "Command", "data": order})
    return done.setdefault(order["id"], {"outcome": "done", "detail": f"did {order['name']}"})


def told(event):
    async def tell(arguments):
        say({"event": event, "data": arguments[0]})

    return tell


async def ignored(_):
    """What fails is tried again."""


async def forever(url: str) -> None:
    manager, _, query = url.partition("?")
    named = dict(parse.parse_qsl(query))
    watched = named.pop("set", None)
    while True:
        hub = SignalRClient(manager, retry_count=1)

        async def opened(hub=hub):
            await hub.send("Join", [named])
            if watched:
                await hub.send("Watch", [watched, None])

        hub.on_open(opened)
        hub.on_error(ignored)
        hub.on("Command", command)
        for event in ("Welcome", "Snapshot", "ConfigurationChanged", "Gap"):
            hub.on(event, told(event))
        try:
            await hub.run()
        except Exception:
            say({"event": "away"})
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--url")
    wish = options.parse_args()
    # Who starts this wants it to end with them.
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    asyncio.run(forever(wish.url))
