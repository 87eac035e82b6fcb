"""Pages of the dashboards' server that are not dashboards: the executed notebook of each run."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote

from tornado.ioloop import IOLoop
from tornado.web import RequestHandler

from workbench.errors import WorkbenchError

#: Address of a run's notebook; what follows is the run's id.
PATTERN: Final = r"/runs/(.+)"
_PROBLEM = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Workbench</title><body style="font: 15px '
    'system-ui; max-width: 40rem; margin: 3rem auto; padding: 0 1rem"><p role="alert"><b>{what}</b></p>'
    '<p>{step}</p><p><a href="/desk">Back to the desk</a></p></body></html>'
)


def run_pages(
    page_of: Callable[[str], str], *, person_of: Callable[[Any], Any] | None, policy: str
) -> tuple[str, type[RequestHandler]]:
    """A route for the server.

    Parameters
    ----------
    page_of : callable (run_id) -> str
        The page as HTML; a WorkbenchError it raises is shown as words. Called in a thread.
    person_of : callable (handler) or None
        Finds who has logged in; None where nobody has to.
    policy : str
        Content-Security-Policy of the pages: they show what a notebook has put out.
    """
    members = {"page_of": staticmethod(page_of), "policy": policy}
    members["person_of"] = staticmethod(person_of) if person_of else None
    return PATTERN, type("RunPages", (_RunPage,), members)


class _RunPage(RequestHandler):
    page_of: Callable[[str], str]
    person_of: Callable[[Any], Any] | None
    policy: str

    def set_default_headers(self) -> None:
        self.set_header("Content-Security-Policy", self.policy)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")

    async def get(self, run_id: str) -> None:
        if self.person_of is not None and not self.person_of(self):
            self.redirect("/login")
            return
        try:
            page = await IOLoop.current().run_in_executor(None, self.page_of, unquote(run_id))
        except WorkbenchError as error:
            self.set_status(404)
            page = _PROBLEM.format(what=html.escape(error.message), step=html.escape(error.next_step or ""))
        self.write(page)
