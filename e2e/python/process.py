"""What every Python peer of the tests does as a process: report, serve, and end when told."""

import argparse
import asyncio
import json
import os
import signal
import sys
import time

from websockets.asyncio.server import serve


def say(event: dict) -> None:
    """One JSON object a line on stdout, written before the call returns.

    `at` is the machine's monotonic clock in nanoseconds, by which what several processes said can
    be put in order.
    """
    os.write(1, json.dumps({"at": time.monotonic_ns(), **event}).encode() + b"\n")


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser()
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, default=0)
    return options


async def run(handler, behaviour: argparse.Namespace, **hooks) -> None:
    """Serves until SIGTERM, then closes every socket with 1012.

    No orphan outlives its test: the process also ends, at once, when its stdin does.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(sys.stdin.fileno(), lambda: sys.stdin.buffer.raw.read(4096) or os._exit(0))
    async with serve(handler, behaviour.host, behaviour.port, compression=None, ping_interval=None,
                     max_size=2**28, backlog=4096, **hooks) as server:
        say({"event": "ready", "port": server.sockets[0].getsockname()[1]})
        await stop.wait()
        server.close(code=1012, reason="restarting")
        await server.wait_closed()
