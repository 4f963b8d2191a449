"""The reference of a backend that cooperates: exactly once, both ways, whatever is killed when.

Every message is stored in one SQLite transaction together with its number, and only if the leg
that brought it is the highest one that this session has had: a leg that was stopped, replaced and
woken again stores nothing. What is stored is acknowledged with an unsolicited Pong `ack:N`.

- The handshake's transaction raises the session's highest leg and reads how many messages are
  stored: that is `Everwire-Client-Received: N`. The first message on the leg is number N + 1.
- The answer to message N is reply number N. `Everwire-Server-Count: S` says that the gateway has
  S replies for its client; the stored messages after S are answered again before anything else.

Several processes share one store. `--die-before-ack N` kills the process with SIGKILL between the
commit of its N-th message and the acknowledgement, the moment in which a weaker scheme doubles.

What happens is said on stdout, one JSON object a line: `ready`, `open`, `stored`, `refused`.
`--list` says everything that is stored, once more, and exits: what a test compares in the end.
"""

import argparse
import asyncio
import http
import os
import signal
import sqlite3

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

import message
from process import parser, run, say


class Store:
    """The sessions' messages and highest legs. Every method is one transaction."""

    def __init__(self, path: str) -> None:
        # SIGKILL is what it has to survive, not a power cut: the file system's cache is durable.
        self.database = sqlite3.connect(path, isolation_level=None, timeout=30)
        self.database.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
            "CREATE TABLE IF NOT EXISTS session (id TEXT PRIMARY KEY, leg INTEGER, received INTEGER);"
            "CREATE TABLE IF NOT EXISTS message (session TEXT, number INTEGER, stream TEXT,"
            " sequence INTEGER, whole INTEGER, PRIMARY KEY (session, number));"
        )

    def begin_leg(self, session: str, leg: int) -> int:
        """How many messages are stored, from now on writable by this leg alone."""
        with self.database:
            self.database.execute("BEGIN IMMEDIATE")
            self.database.execute(
                "INSERT INTO session VALUES (?, ?, 0)"
                " ON CONFLICT (id) DO UPDATE SET leg = max(leg, excluded.leg)",
                (session, leg),
            )
            row = self.database.execute("SELECT received FROM session WHERE id = ?", (session,))
            return row.fetchone()[0]

    def store(self, session: str, leg: int, number: int, mark: message.Mark) -> bool:
        """False where a later leg has taken the session over."""
        with self.database:
            self.database.execute("BEGIN IMMEDIATE")
            raised = self.database.execute(
                "UPDATE session SET received = ? WHERE id = ? AND leg = ? AND received = ?",
                (number, session, leg, number - 1),
            )
            if raised.rowcount == 0:
                return False
            self.database.execute(
                "INSERT INTO message VALUES (?, ?, ?, ?, ?)",
                (session, number, mark.stream, mark.sequence, mark.whole),
            )
            return True

    def stored_after(self, session: str, number: int) -> list:
        """The messages beyond `number`, in order: (number, stream, sequence)."""
        rows = self.database.execute(
            "SELECT number, stream, sequence FROM message WHERE session = ? AND number > ?"
            " ORDER BY number",
            (session, number),
        )
        return rows.fetchall()


class Backend:
    """One process; its legs share the store with every other process."""

    def __init__(self, behaviour: argparse.Namespace) -> None:
        self.store = Store(behaviour.store)
        self.commits_left = behaviour.die_before_ack

    def open_leg(self, leg: ServerConnection, request):
        """Reads the gateway's account; a client that is not Everwire gets 400."""
        try:
            leg.session = request.headers["Everwire-Session"]
            leg.number = int(request.headers["Everwire-Leg"])
            leg.next = int(request.headers["Everwire-Client-Next"])
            leg.replies = int(request.headers["Everwire-Server-Count"])
        except (KeyError, ValueError) as mistake:
            return leg.respond(http.HTTPStatus.BAD_REQUEST, f"no account of the session: {mistake}\n")
        leg.received = self.store.begin_leg(leg.session, leg.number)
        say({"event": "open", "session": leg.session, "leg": leg.number, "received": leg.received,
             "next": leg.next, "replies": leg.replies})

    def answer_handshake(self, leg: ServerConnection, _request, response):
        if response.status_code == 101:
            response.headers["Everwire-Client-Received"] = str(leg.received)
        return response

    async def serve_leg(self, leg: ServerConnection) -> None:
        try:
            for number, stream, sequence in self.store.stored_after(leg.session, leg.replies):
                await leg.send(reply(leg.session, number, stream, sequence))
            async for payload in leg:
                await self.take(leg, payload)
        except ConnectionClosed:
            pass

    async def take(self, leg: ServerConnection, payload) -> None:
        mark = message.read(payload) or message.Mark("unmarked", 0, False)
        number = leg.received + 1
        if not self.store.store(leg.session, leg.number, number, mark):
            say({"event": "refused", "session": leg.session, "leg": leg.number, "number": number})
            return await leg.close(1012, "a later leg holds this session")
        leg.received = number
        self.die_if_told()
        say({"event": "stored", "session": leg.session, "leg": leg.number, "number": number,
             "stream": mark.stream, "sequence": mark.sequence, "whole": mark.whole})
        await leg.pong(f"ack:{number}")
        await leg.send(reply(leg.session, number, mark.stream, mark.sequence))

    def die_if_told(self) -> None:
        self.commits_left -= 1
        if self.commits_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def reply(session: str, number: int, stream: str, sequence: int) -> str:
    return message.write(f"session.{session}", number, f"re {stream} {sequence}")


def list_messages(store: Store) -> None:
    rows = store.database.execute("SELECT * FROM message ORDER BY session, number")
    for session, number, stream, sequence, whole in rows:
        say({"event": "stored", "session": session, "leg": 0, "number": number, "stream": stream,
             "sequence": sequence, "whole": bool(whole)})


def options() -> argparse.Namespace:
    options = parser()
    options.add_argument("--store", required=True, help="path of the SQLite file")
    options.add_argument("--die-before-ack", type=int, default=0)
    options.add_argument("--list", action="store_true", help="say what is stored, then exit")
    return options.parse_args()


behaviour = options()
if behaviour.list:
    list_messages(Store(behaviour.store))
else:
    backend = Backend(behaviour)
    asyncio.run(run(backend.serve_leg, behaviour, process_request=backend.open_leg,
                    process_response=backend.answer_handshake))
