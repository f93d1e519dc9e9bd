"""Server-Sent Events with Starlette: the body is an async generator."""

import asyncio

from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

import asgi
from greetings import after, blocks, options

OPTIONS = options()


async def events(request):
    first = after(request.headers.get("Last-Event-ID"))

    async def greetings():
        for block, pause in blocks(first, OPTIONS):
            yield block
            await asyncio.sleep(pause)

    return StreamingResponse(
        greetings(),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache"},
    )


app = Starlette(routes=[Route("/events", events)])

if __name__ == "__main__":
    asgi.serve(app, OPTIONS)
