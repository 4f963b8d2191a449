"""Runs Autobahn's `wstest` with its listeners bound to one loopback address.

The first argument is the address, the rest are wstest's own. Autobahn's servers refuse a Host
header whose port is not the one they listen on, and a proxy passes the client's Host on: so proxy
and server have the same port at two loopback addresses, which the wildcard address that wstest
binds by itself would forbid. (Python 2.7, as the suite.)
"""
import sys

from twisted.internet import reactor

address = sys.argv.pop(1)
listen = reactor.listenTCP


def listen_on_loopback(port, factory, backlog=50, interface=''):
    return listen(port, factory, backlog, interface or address)


reactor.listenTCP = listen_on_loopback

from autobahntestsuite import wstest  # noqa: E402  (binds listenTCP, so it comes after)

wstest.run()
