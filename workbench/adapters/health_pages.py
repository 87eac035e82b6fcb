"""The same answers beside the dashboards, whose server is Tornado's."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from tornado.ioloop import IOLoop
from tornado.web import RequestHandler


class HealthPage(RequestHandler):
    """One path that needs no log-in; who asks from another machine is told less."""

    def initialize(self, answers: Callable[[str, bool], tuple[int, str, str] | None]) -> None:
        """Keep what gives the answer from a path and whether the asker is on this machine."""
        self._answers = answers

    async def get(self) -> None:
        """The answer, made in a thread: pages go on meanwhile."""
        try:
            near = ipaddress.ip_address(self.request.remote_ip or "").is_loopback
        except ValueError:
            near = False
        path = self.request.path
        found = await IOLoop.current().run_in_executor(None, lambda: self._answers(path, near))
        status, kind, text = found or (404, "text/plain; charset=utf-8", "not found\n")
        self.set_status(status)
        self.set_header("Content-Type", kind)
        self.set_header("Cache-Control", "no-store")
        self.finish(text)
