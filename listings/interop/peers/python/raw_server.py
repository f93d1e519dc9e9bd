"""Server-Sent Events with nothing but sockets and threads."""

import socket
import sys
import threading
import time

from greetings import after, blocks, options, running

OPTIONS = options()
HEAD = (
    "HTTP/1.1 200 OK\r\n"
    "Content-Type: text/event-stream\r\n"
    "Cache-Control: no-cache\r\n"
    "Connection: close\r\n"
    "\r\n"
)
MAX_HEAD = 16 * 1024


def read_head(connection):
    """The request line, and the fields with their names in lower case."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(4096)
        if not piece or len(head) > MAX_HEAD:
            raise ValueError("no head of a request")
        head += piece
    line, *fields = head.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    fields = (field.split(":", 1) for field in fields)
    return line, {name.lower(): value.strip() for name, value in fields}


def refuse(connection, status):
    connection.sendall(
        f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n"
        "Allow: GET\r\nConnection: close\r\n\r\n".encode()
    )


def serve(connection, peer):
    """One reader, for as long as it takes what is sent."""
    with connection:
        try:
            connection.settimeout(10)
            line, fields = read_head(connection)
            method, target, _version = line.split(" ")
        except ValueError:
            return refuse(connection, "400 Bad Request")
        except OSError:
            return
        try:
            if target.partition("?")[0] != "/events":
                return refuse(connection, "404 Not Found")
            if method != "GET":
                return refuse(connection, "405 Method Not Allowed")
            connection.sendall(HEAD.encode())
            first = after(fields.get("last-event-id"))
            for block, pause in blocks(first, OPTIONS):
                connection.sendall(block.encode())
                time.sleep(pause)
        except OSError:
            print("Client disconnected:", "%s:%s" % peer, flush=True)


def main():
    with socket.create_server(OPTIONS.addr, backlog=1024) as listener:
        running(listener)
        while True:
            connection, peer = listener.accept()
            if threading.active_count() > (OPTIONS.max_readers or sys.maxsize):
                refuse(connection, "503 Service Unavailable")
                connection.close()
                continue
            args = connection, peer
            threading.Thread(target=serve, args=args, daemon=True).start()


if __name__ == "__main__":
    main()
