"""Where alerts arrive in tests: a real webhook and a real mail server on the loopback address."""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Webhook:
    """Keeps what is posted, with the moment; answers what it is told to."""

    def __init__(self) -> None:
        self.posts: list[dict[str, Any]] = []
        self.arrived_ns: list[int] = []
        self.status = 200
        self.delay_s = 0.0
        self.more = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = json.loads(self.rfile.read(length) or b"{}")
                with outer.more:
                    outer.posts.append(body)
                    outer.arrived_ns.append(time.time_ns())
                    outer.more.notify_all()
                time.sleep(outer.delay_s)
                with contextlib.suppress(OSError):  # whoever posted may have left
                    self.send_response(outer.status)
                    self.end_headers()

            def log_message(self, *words: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/alerts"

    def titles(self) -> list[str]:
        return [str(post["title"]) for post in self.posts]

    def wait_for(self, word: str, seconds: float) -> bool:
        """Whether an alert with that word in its title arrives in time."""
        with self.more:
            return self.more.wait_for(lambda: any(word in title for title in self.titles()), seconds)


class MailSink:
    """A mail server that takes everything; apprise talks real SMTP to it."""

    def __init__(self) -> None:
        self.mails: list[str] = []
        outer = self

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(b"220 sink\r\n")
                while line := self.rfile.readline():
                    word = line.strip().upper()
                    if word.startswith((b"EHLO", b"HELO")):
                        self.wfile.write(b"250 sink\r\n")
                    elif word == b"DATA":
                        self.wfile.write(b"354 go on\r\n")
                        text = b""
                        while (part := self.rfile.readline()) not in (b".\r\n", b""):
                            text += part
                        outer.mails.append(text.decode())
                        self.wfile.write(b"250 kept\r\n")
                    elif word == b"QUIT":
                        self.wfile.write(b"221 bye\r\n")
                        return
                    else:
                        self.wfile.write(b"250 ok\r\n")

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        port = int(self.server.server_address[1])
        return (
            f"mailto://127.0.0.1:{port}?smtp=127.0.0.1&mode=insecure&from=desk@example.org&to=a@example.org"
        )


@contextmanager
def serving(sink: Any) -> Iterator[Any]:
    """The sink while it takes what comes."""
    thread = threading.Thread(target=sink.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        sink.server.shutdown()
        sink.server.server_close()
        thread.join(5)
