"""What the servers here share: their flags, and what they send when."""

import argparse
import itertools
import re
import sys

UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}


def duration(text):
    """A time such as 500ms, in seconds."""
    match = re.fullmatch(r"(\d+)([a-z]+)", text)
    if not match or match[2] not in UNITS:
        raise argparse.ArgumentTypeError(f"not a time such as 2s: {text!r}")
    return int(match[1]) * UNITS[match[2]]


def address(text):
    """HOST:PORT, as sockets take it."""
    host, _, port = text.rpartition(":")
    return host, int(port)


def options():
    """The flags that every server here takes, and the chapters' servers."""
    parser = argparse.ArgumentParser()
    flag = parser.add_argument
    flag("--addr", type=address, default=("127.0.0.1", 0))
    flag("--every", type=duration, default=2.0, metavar="TIME")
    flag("--heartbeat", type=duration, default=15.0, metavar="TIME")
    flag("--max-readers", type=int, metavar="N")
    flag("--until-stdin-closes", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.until_stdin_closes:
        sys.exit("there is no way to ask this server to stop but a signal")
    return options


def running(sock):
    """Tells where the server listens."""
    host, port = sock.getsockname()[:2]
    print(f"Server running at http://{host}:{port}/events", flush=True)


def after(last_event_id):
    """The number of the event after that one, which may mean nothing."""
    text = last_event_id or ""
    # No reader stays for longer than that.
    known = text.isascii() and text.isdecimal() and len(text) < 16
    return int(text) + 1 if known else 1


def greeting(number):
    """The data of an event."""
    return f"Hello! This is event {number}"


def schedule(first, options):
    """The number of each event, or None for a heartbeat, and the pause
    behind it."""
    for number in itertools.count(first):
        yield number, min(options.every, options.heartbeat)
        silent = options.heartbeat
        while silent < options.every:
            yield None, min(options.heartbeat, options.every - silent)
            silent += options.heartbeat


def blocks(first, options):
    """The same as text, for those who write it themselves."""
    for number, pause in schedule(first, options):
        if number is None:
            yield ": heartbeat\n\n", pause
        else:
            yield f"id: {number}\ndata: {greeting(number)}\n\n", pause
