"""What the SignalR peers have in common: orders come on stdin, one JSON object a line.

`e2e/README.md` lists the orders, and what is said of them.
"""

import argparse
import json
import sys
import urllib.request


def options() -> argparse.Namespace:
    wish = argparse.ArgumentParser()
    wish.add_argument("--url")
    wish.add_argument("--transport", default="WebSockets")
    wish.add_argument("--protocol", default="json")
    # Where a token is to be had before each connection.
    wish.add_argument("--token")
    return wish.parse_args()


def orders():
    """Each order as it comes, until there are no more."""
    for line in sys.stdin:
        yield json.loads(line)


def fetch(url: str) -> str:
    with urllib.request.urlopen(url) as answer:
        return answer.read().decode()
