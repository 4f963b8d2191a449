"""A backend that somebody else wrote: Python `websockets`, nothing of Everwire's.

It differs from npm `ws` where it matters: it queues messages in front of the handler, and while
that queue is full it reads nothing, so that no Ping is answered. What it says on stdout is what
`../node/backend.mjs` says. SIGTERM closes every socket with 1012 and ends the process.
"""

import argparse
import asyncio
import hashlib
import itertools
import os
import time

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

import message
from process import parser, run, say


def options() -> argparse.Namespace:
    options = parser()
    options.add_argument("--answer", choices=["echo", "reply", "none"], default="echo")
    options.add_argument("--handle-ms", type=int, default=0, help="the handler waits this long per message")
    options.add_argument("--block-ms", type=int, default=0, help="the process stands still per message")
    return options.parse_args()


class Backend:
    """One process' legs, numbered in the order in which they were opened."""

    def __init__(self, behaviour: argparse.Namespace) -> None:
        self.behaviour = behaviour
        self.numbers = itertools.count(1)

    async def serve_leg(self, leg: ServerConnection) -> None:
        name = f"{os.getpid()}.{next(self.numbers)}"
        request = leg.request
        headers = {key.lower(): value for key, value in request.headers.raw_items()}
        say({"event": "open", "leg": name, "path": request.path, "headers": headers,
             "protocol": leg.subprotocol or ""})
        replies = 0
        try:
            async for payload in leg:
                mark = message.read(payload)
                say({"event": "message", "leg": name, "bytes": len(payload), **describe(payload, mark)})
                time.sleep(self.behaviour.block_ms / 1000)
                await asyncio.sleep(self.behaviour.handle_ms / 1000)
                if self.behaviour.answer == "echo":
                    await leg.send(payload)
                elif self.behaviour.answer == "reply":
                    about = f"re {mark.stream} {mark.sequence}" if mark else "re"
                    await leg.send(message.write(f"leg.{name}", replies + 1, about))
                    replies += 1
        except ConnectionClosed:
            pass
        say({"event": "close", "leg": name, "code": leg.close_code, "reason": leg.close_reason,
             "replies": replies})


def describe(payload, mark) -> dict:
    if mark:
        return mark._asdict()
    binary = isinstance(payload, bytes)
    raw = payload if binary else payload.encode()
    return {"text": raw[:200].decode("utf-8", "replace"), "binary": binary,
            "sha1": hashlib.sha1(raw).hexdigest()}


behaviour = options()
asyncio.run(run(Backend(behaviour).serve_leg, behaviour))
