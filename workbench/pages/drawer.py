"""The drawer at the foot of a page: the query and the journal rows behind the number that was clicked."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from workbench.errors import WorkbenchError
from workbench.pages.style import PARTS

if TYPE_CHECKING:
    from workbench.screens.questions import Answer
    from workbench.screens.screen import Screen

#: What the hash of an address begins with when it asks where a number comes from.
ASKS = "#why-"
#: The drawer has no height while it holds nothing. It is never hidden: a page that is opened with a question
#: in its address gets the answer before it is drawn, when a change from hidden to shown would be lost.
_PLACE = {
    "position": "fixed", "left": "0", "right": "0", "bottom": "0", "max-height": "62vh", "overflow": "auto",
    "z-index": "900", "background": "var(--card)", "box-shadow": "0 -6px 24px rgba(0, 0, 0, .25)",
}  # fmt: skip


def why_link(question: str, text: str) -> str:
    """A link that asks where something comes from; `text` is HTML that is escaped already."""
    return f'<a href="{hash_of(question)}" title="Where does this come from?">{text}</a>'


def hash_of(question: str) -> str:
    """The question as the hash of an address, in letters that are a valid selector to every script.

    Examples
    --------
    >>> hash_of("orders/wb1")
    '#why-orders_2fwb1'
    """
    return ASKS + re.sub(r"[^A-Za-z0-9-]", lambda found: _escaped(found[0]), question)


def _escaped(letter: str) -> str:
    return "".join(f"_{byte:02x}" for byte in letter.encode())


def question_of(hash_: str) -> str:
    """The question in the hash of an address; "" when there is none."""
    if not hash_.startswith(ASKS):
        return ""
    text = re.sub("_([0-9a-f]{2})", r"%\1", hash_.removeprefix(ASKS))
    return unquote(text)


def ask(question: str) -> None:
    """Open the drawer with that question for the reader of this session."""
    import panel as pn

    if pn.state.location is not None:
        pn.state.location.hash = hash_of(question)


def question_drawer(screen: Screen, location: Any) -> Any:
    """The drawer; it opens with `#why=...` in the address, so a click, a key and a link all open it."""
    import panel as pn

    from workbench.pages.tables import table

    words = pn.pane.HTML(sizing_mode="stretch_width", stylesheets=[PARTS], margin=0)
    drawer = pn.Column(words, sizing_mode="stretch_width", styles=_PLACE, margin=0)
    made: dict[str, Any] = {}

    def draw(*_: object) -> None:
        question = question_of(location.hash)
        if not question:
            words.object = ""
            drawer[:] = [words]
            return
        if not made:  # most readers never ask: the page is not made heavier for them
            made["rows"], made["show_rows"] = table("Journal rows", empty="There is none.", page_size=6)
            made["events"], made["show_events"] = table("Events that made them", empty="None.", page_size=6)
        try:
            found = screen.explain(question)
        except (WorkbenchError, OSError) as error:  # the journal went away: the page says so too
            words.object = _head(f"This cannot be looked up now: {error}")
            found = None
        else:
            words.object = _told(found) if found else _head(f"This page shows nothing called {question!r}.")
        if found is not None:
            made["show_rows"](found.rows)
            made["show_events"](found.events)
        drawer[:] = [words, made["rows"], made["events"]] if found is not None else [words]

    if location is not None:
        location.param.watch(draw, "hash")
        draw()
    return drawer


def _head(title: str) -> str:
    close = '<a href="#top" style="float: right">Close</a>'
    edge = "border-top: 2px solid var(--accent); padding: 10px 16px 6px"
    return f'<div role="dialog" style="{edge}"><b>{html.escape(title)}</b> {close}</div>'


def _told(found: Answer) -> str:
    some = "" if found.count == len(found.rows) else f", the newest {len(found.rows):,} shown"
    return (
        f'{_head(found.title)}<div style="padding: 0 16px"><p>{html.escape(found.means)}</p>'
        f'<p class="muted">{found.count:,} row(s) of the journal{some}. In SQL, and in a notebook:</p>'
        f"<pre>{html.escape(found.sql)}\n{html.escape(found.line)}</pre></div>"
    )
