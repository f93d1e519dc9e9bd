"""Server-Sent Events with Flask: the body is a generator."""

import time

from flask import Flask, Response, request
from werkzeug.serving import make_server

from greetings import after, blocks, options, running

OPTIONS = options()

# ANCHOR: flask
app = Flask(__name__)


@app.get("/events")
def events():
    first = after(request.headers.get("Last-Event-ID"))

    def greetings():
        for block, pause in blocks(first, OPTIONS):
            yield block
            time.sleep(pause)

    return Response(
        greetings(),
        mimetype="text/event-stream",
        headers={"Cache-Control": "no-cache"},
    )
# ANCHOR_END: flask


if __name__ == "__main__":
    # What `app.run(threaded=True)` does, but the port is known.
    server = make_server(*OPTIONS.addr, app, threaded=True)
    running(server.socket)
    server.serve_forever()
