"""Runs an ASGI application under uvicorn."""

import socket

import uvicorn

from greetings import running


def serve(app, options):
    """Serves until a signal comes, and then a second longer."""
    readers = options.max_readers
    config = uvicorn.Config(
        app,
        log_level="warning",
        # Endless streams would keep it from ending.
        timeout_graceful_shutdown=1,
        # uvicorn refuses the connection that makes it so many.
        limit_concurrency=readers and readers + 1,
    )
    with socket.create_server(options.addr, backlog=2048) as listener:
        running(listener)
        uvicorn.Server(config).run(sockets=[listener])
