"""What the clients here share: their flags, and how they print."""

import argparse
import json
import sys

parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("--json", action="store_true")
parser.add_argument("--events", type=int, default=sys.maxsize, metavar="N")


class Printer:
    """Prints what happens as the chapters' clients do, and leaves after so
    many events."""

    def __init__(self, options):
        self.json = options.json
        self.left = options.events

    def line(self, text, **what):
        print(json.dumps(what) if self.json else text, flush=True)

    def open(self):
        if self.json:
            self.line("", kind="open")

    def event(self, type, data, id):
        text = data.replace("\n", "\n    ")
        named = f" ({type})" if type != "message" else ""
        self.line(
            f"Received event {id}{named}: {text}",
            kind="event", type=type, data=data, id=id,
        )
        self.left -= 1
        if self.left <= 0:
            sys.exit()

    def error(self, error, closed):
        message = f"{type(error).__name__}: {error}"
        self.line(
            f"{'Closed' if closed else 'Error'}: {message}",
            kind="error", closed=closed, message=message,
        )
