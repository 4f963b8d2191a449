"""The numbered, hashed message of the tests, as Python reads and writes it.

`crates/testkit/src/message.rs` tells the format; a third implementation on purpose.
"""

import hashlib
from typing import NamedTuple, Optional, Union


class Mark(NamedTuple):
    """What a message says of itself, and whether that is true."""

    stream: str
    sequence: int
    whole: bool


def read(payload: Union[str, bytes]) -> Optional[Mark]:
    """The mark of one of our messages, or None for anything else."""
    binary = isinstance(payload, bytes)
    raw = payload if binary else payload.encode()
    head, newline, filler = raw.partition(b"\n")
    words = head.decode("latin1").split(" ")
    if not newline or len(words) != 4 or words[0] not in ("E1T", "E1B"):
        return None
    kind, stream, sequence, total = words
    whole = total == _sum(f"{kind} {stream} {sequence}", filler) and binary == (kind == "E1B")
    return Mark(stream, int(sequence), whole)


def write(stream: str, sequence: int, filler: str) -> str:
    """A text message of ours."""
    head = f"E1T {stream} {sequence}"
    return f"{head} {_sum(head, filler.encode())}\n{filler}"


def _sum(head: str, filler: bytes) -> str:
    return hashlib.sha1(head.encode() + b"\n" + filler).hexdigest()[:16]
