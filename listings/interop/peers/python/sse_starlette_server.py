"""Server-Sent Events with Starlette and sse-starlette, which encodes the
events and sends the heartbeats."""

import asyncio
import itertools

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.routing import Route

import asgi
from greetings import after, greeting, options

OPTIONS = options()


# ANCHOR: sse-starlette
async def events(request):
    first = after(request.headers.get("Last-Event-ID"))

    async def greetings():
        for number in itertools.count(first):
            yield ServerSentEvent(greeting(number), id=str(number))
            await asyncio.sleep(OPTIONS.every)

    return EventSourceResponse(greetings(), ping=OPTIONS.heartbeat)
# ANCHOR_END: sse-starlette


app = Starlette(routes=[Route("/events", events)])

if __name__ == "__main__":
    asgi.serve(app, OPTIONS)
