"""Reads a stream with requests, line by line. The rest is ours: requests
knows of lines, and not of events."""

import sys
import time

import requests

from printing import Printer, parser


class Kept:
    """What lasts from one connection to the next."""

    last_event_id = ""
    retry = 3.0


# ANCHOR: decoded
def decoded(lines):
    """These lines as text, the first without a BOM."""
    encoding = "utf-8-sig"
    for line in lines:
        yield line.decode(encoding, errors="replace")
        encoding = "utf-8"
# ANCHOR_END: decoded


def events(lines, kept):
    """The events in these lines: type, data and last event ID."""
    kind, data, last_event_id = "", [], kept.last_event_id
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            kept.last_event_id = last_event_id
            if data:
                yield kind or "message", "\n".join(data), last_event_id
            kind, data = "", []
        elif field == "event":
            kind = value
        elif field == "data":
            data.append(value)
        elif field == "id" and "\0" not in value:
            last_event_id = value
        elif field == "retry" and value.isascii() and value.isdecimal():
            kept.retry = int(value) / 1000


def check_type(response):
    kind = response.headers.get("Content-Type", "")
    if kind.partition(";")[0].strip().lower() != "text/event-stream":
        raise requests.HTTPError(f"{kind!r} is no event stream")


# ANCHOR: requests
def read(url, printer):
    """Reads until the server says to stop (204), or it is no use."""
    kept = Kept()
    while True:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if kept.last_event_id:
            headers["Last-Event-ID"] = kept.last_event_id
        try:
            with requests.get(
                url, headers=headers, stream=True, timeout=(10, 60)
            ) as response:
                response.raise_for_status()
                if response.status_code == 204:
                    return
                check_type(response)
                printer.open()
                # If more than one byte is asked for, it waits for so many.
                lines = decoded(response.iter_lines(1))
                for event in events(lines, kept):
                    printer.event(*event)
        except requests.HTTPError as error:
            printer.error(error, closed=True)
            sys.exit(1)
        except requests.RequestException as error:
            printer.error(error, closed=False)
        time.sleep(kept.retry)
# ANCHOR_END: requests


def main():
    options = parser.parse_args()
    read(options.url, Printer(options))


if __name__ == "__main__":
    main()
