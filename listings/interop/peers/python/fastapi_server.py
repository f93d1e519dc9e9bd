"""Server-Sent Events with FastAPI's own response for them."""

import asyncio
from collections.abc import AsyncIterable
from typing import Annotated

from fastapi import FastAPI, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

import asgi
from greetings import greeting, options, schedule

OPTIONS = options()

# ANCHOR: fastapi
app = FastAPI()


@app.get("/events", response_class=EventSourceResponse)
async def events(
    last_event_id: Annotated[int | None, Header()] = None,
) -> AsyncIterable[ServerSentEvent]:
    first = 1 if last_event_id is None else last_event_id + 1
    for number, pause in schedule(first, OPTIONS):
        # FastAPI's own heartbeat comes every 15 seconds, which is fixed.
        if number is None:
            yield ServerSentEvent(comment="heartbeat")
        else:
            yield ServerSentEvent(raw_data=greeting(number), id=str(number))
        await asyncio.sleep(pause)
# ANCHOR_END: fastapi


if __name__ == "__main__":
    asgi.serve(app, OPTIONS)
