"""A small server on the loopback address that answers whether a long-running command is well."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from workbench.errors import ConfigError

#: Status, content type and text of an answer; None = there is no such page.
Answer = tuple[int, str, str]
#: From path and whether the asker is on this machine to the answer.
Answers = Callable[[str, bool], Answer | None]
_HOST: Final = "127.0.0.1"


class HealthServer:
    """Serves GET of a few paths from a thread until it is closed; nothing can be changed through it.

    Parameters
    ----------
    port : int
        Of the loopback address; 0 = any free one.
    answers : callable (path, on this machine) -> Answer or None

    Raises
    ------
    ConfigError
        The port is taken.
    """

    def __init__(self, port: int, answers: Answers) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = 5.0  # a client that says nothing holds no thread for ever

            def do_GET(self) -> None:
                # a page of another origin that resolves its own name to this machine is not answered
                host = (self.headers.get("Host") or "").rpartition(":")[0]
                known = host in (_HOST, "localhost")
                found = answers(self.path.partition("?")[0], True) if known else None
                status, kind, text = found or (404, "text/plain; charset=utf-8", "not found\n")
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words: Any) -> None:
                """Say nothing: a probe asks every few seconds."""

        try:
            self._server = ThreadingHTTPServer((_HOST, port), Handler)
        except OSError as error:
            raise ConfigError(
                f"port {port} of {_HOST} cannot be used for health: {error.strerror}",
                next_step="set monitoring.health_port to a free one, or to 0 for any",
            ) from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it answers, without a path."""
        return f"http://{_HOST}:{self._server.server_address[1]}"

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5.0)
