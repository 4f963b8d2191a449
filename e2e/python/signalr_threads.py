"""A SignalR client that somebody else wrote: Python `signalrcore`, which runs on threads."""

import logging
import os

from signalrcore.hub_connection_builder import HubConnectionBuilder
from signalrcore.subject import Subject
from signalrcore.types import HttpTransportType, HubProtocolEncoding

from process import say
from puppet import fetch, options, orders


class Puppet:
    def __init__(self, wish):
        choices = {"transport": HttpTransportType(wish.transport)}
        if wish.token:
            choices["access_token_factory"] = lambda: fetch(wish.token)
        binary = wish.protocol == "messagepack"
        encoding = HubProtocolEncoding.binary if binary else HubProtocolEncoding.text
        builder = HubConnectionBuilder().with_url(wish.url, options=choices)
        # What a browser keeps to itself, this client prints where its peer's words go.
        builder = builder.configure_logging(logging.CRITICAL).with_hub_protocol(encoding)
        self.hub = builder.build()
        self.calls = {}
        self.hub.on_open(lambda: say({"event": "started", "connection": None}))
        self.hub.on_close(lambda: say({"event": "closed", "error": None}))
        self.hub.on_error(self.refused)

    def obey(self, order: dict) -> None:
        getattr(self, order.pop("order"))(**order)

    def start(self) -> None:
        try:
            self.hub.start()
        except Exception as error:
            say({"event": "failed", "error": str(error)})

    def stop(self) -> None:
        self.hub.stop()

    def on(self, method: str) -> None:
        called = lambda given: say({"event": "called", "method": method, "arguments": given})
        self.hub.on(method, called)

    def send(self, call: int, method: str, arguments: list) -> None:
        self.hub.send(method, arguments)
        say({"event": "sent", "call": call})

    def invoke(self, call: int, method: str, arguments: list) -> None:
        # The id first: the answer may be quicker than `invoke` returns.
        self.calls[f"{call}"] = call
        self.hub.invoke(method, arguments, lambda done: self.answered(call, done), f"{call}")

    def upload(self, call: int, method: str, arguments: list, items: list, error=None) -> None:
        subject = Subject()
        self.hub.invoke(method, subject)
        for item in items:
            subject.next(item)
        subject.complete()
        say({"event": "answered", "call": call, "result": None})

    def stream(self, call: int, method: str, arguments: list) -> None:
        stream = self.hub.stream(method, arguments)
        self.calls[stream.invocation_id] = call
        stream.subscribe({
            "next": lambda item: say({"event": "item", "call": call, "item": item}),
            "complete": lambda _: say({"event": "answered", "call": call, "result": None}),
            "error": self.refused,
        })

    def answered(self, call: int, done) -> None:
        say({"event": "answered", "call": call, "result": done.result})

    def refused(self, done) -> None:
        call = self.calls[done.invocation_id]
        say({"event": "refused", "call": call, "error": done.error})


if __name__ == "__main__":
    puppet = Puppet(options())
    for order in orders():
        puppet.obey(order)
    # Threads of the client must not outlive the test.
    os._exit(0)
