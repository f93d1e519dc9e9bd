"""Reads a stream with httpx and httpx-sse. Coming back is ours, after the
example in httpx-sse's README."""

import sys
import time

import httpx
from httpx_sse import SSEError, connect_sse

from printing import Printer, parser

# What is no use to try again. httpx-sse's error is one of transport.
FATAL = httpx.HTTPStatusError, httpx.TooManyRedirects, SSEError


# ANCHOR: httpx
def read(client, url, printer):
    """Reads until the server says to stop (204), or it is no use."""
    last_event_id, retry = "", 3.0
    while True:
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        try:
            with connect_sse(client, "GET", url, headers=headers) as source:
                source.response.raise_for_status()
                if source.response.status_code == 204:
                    return
                printer.open()
                for sse in source.iter_sse():
                    last_event_id = sse.id or last_event_id
                    if sse.retry is not None:
                        retry = sse.retry / 1000
                    printer.event(sse.event, sse.data, sse.id)
        except FATAL as error:
            printer.error(error, closed=True)
            sys.exit(1)
        except httpx.TransportError as error:
            printer.error(error, closed=False)
        time.sleep(retry)
# ANCHOR_END: httpx


def main():
    options = parser.parse_args()
    # A server that sends a heartbeat every 15 seconds has missed four.
    timeout = httpx.Timeout(10, read=60)
    with httpx.Client(timeout=timeout, follow_redirects=True) as client:
        read(client, options.url, Printer(options))


if __name__ == "__main__":
    main()
