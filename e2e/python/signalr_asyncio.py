"""A SignalR client that somebody else wrote: Python `pysignalr`, which runs on asyncio."""

import asyncio
import os
import threading

from pysignalr.client import SignalRClient
from pysignalr.exceptions import ServerError
from pysignalr.protocol.json import JSONProtocol
from pysignalr.protocol.messagepack import MessagepackProtocol

from process import say
from puppet import fetch, options, orders


class Puppet:
    def __init__(self, wish):
        protocol = MessagepackProtocol() if wish.protocol == "messagepack" else JSONProtocol()
        # Its own `access_token_factory` is asked after the first socket has been opened.
        headers = {"Authorization": f"Bearer {fetch(wish.token)}"} if wish.token else {}
        self.hub = SignalRClient(wish.url, protocol, headers, retry_count=1)
        self.hub.on_open(self.opened)
        self.hub.on_error(self.ignored)
        self.running = None

    async def obey(self, order: dict) -> None:
        await getattr(self, order.pop("order"))(**order)

    async def opened(self) -> None:
        say({"event": "started", "connection": None})

    async def ignored(self, _) -> None:
        """What fails is told where it was asked for, too."""

    async def start(self) -> None:
        self.running = asyncio.create_task(self.run())

    async def run(self) -> None:
        error = None
        try:
            await self.hub.run()
        except asyncio.CancelledError:
            pass
        except ServerError as told:
            error = told.message
        except Exception as failure:
            say({"event": "failed", "error": str(failure)})
        say({"event": "closed", "error": error})

    async def stop(self) -> None:
        self.running.cancel()

    async def on(self, method: str) -> None:
        async def called(given):
            say({"event": "called", "method": method, "arguments": given})

        self.hub.on(method, called)

    async def answer(self, method: str, result=None, error=None) -> None:
        async def answer(_):
            if error:
                raise RuntimeError(error)
            return result

        self.hub.on(method, answer)

    async def send(self, call: int, method: str, arguments: list) -> None:
        await self.hub.send(method, arguments)
        say({"event": "sent", "call": call})

    async def invoke(self, call: int, method: str, arguments: list) -> None:
        await self.hub.send(method, arguments, lambda done: self.ended(call, done))

    async def upload(self, call: int, method: str, arguments: list, items: list, error=None):
        async with self.hub.client_stream(method) as stream:
            for item in items:
                await stream.send(item)
        say({"event": "answered", "call": call, "result": None})

    async def stream(self, call: int, method: str, arguments: list) -> None:
        async def item(value):
            say({"event": "item", "call": call, "item": value})

        end = lambda done: self.ended(call, done)
        await self.hub.stream(method, arguments, item, end, end)

    async def ended(self, call: int, done) -> None:
        if done.error:
            say({"event": "refused", "call": call, "error": done.error})
        else:
            say({"event": "answered", "call": call, "result": done.result})


async def main() -> None:
    loop = asyncio.get_running_loop()
    puppet = Puppet(options())
    queue = asyncio.Queue()

    def read():
        for order in orders():
            loop.call_soon_threadsafe(queue.put_nowait, order)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        await puppet.obey(await queue.get())


if __name__ == "__main__":
    asyncio.run(main())
