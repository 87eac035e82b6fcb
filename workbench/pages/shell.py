"""The page before it is live: its words are in the first answer of the server, above all scripts.

A browser loads megabytes of scripts before it draws the first table. A reader who opens the desk to see
whether it may trade is not made to wait for them: what the page says then, and when that was, is plain HTML,
which goes as soon as the live page stands in its place. It ages and turns grey like the live page.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from workbench.pages.parts import exchange_time
from workbench.pages.style import BEAT, PARTS

if TYPE_CHECKING:
    from workbench.screens.screen import Screen

#: Class of the live page's sections, once they are there.
LIVE = "live-sections"
#: Takes the shell away when the live page is drawn; until then its age runs as a page's does.
_LEAVE = f"""
const main = document.getElementById('main'), shell = document.getElementById('shell');
main.prepend(shell);
const live = new MutationObserver(() => {{
  if (main.querySelector('.{LIVE}')) {{ live.disconnect(); shell.remove(); }}
}});
live.observe(main, {{childList: true, subtree: true, attributes: true, attributeFilter: ['class']}});
"""


def live_template(**options: Any) -> Any:
    """Panel's Bootstrap template with a place for the shell, and with its scripts below it."""
    return _template_type()(**options)


@cache
def _template_type() -> type:
    import panel as pn

    class LiveTemplate(pn.template.BootstrapTemplate):  # type: ignore[misc]  # Panel is untyped
        _template = Path(__file__).with_name("live.html")

        def open_with(self, text: str) -> None:
            """What the first answer of the server shows, as ready HTML."""
            self._render_variables["shell"] = text

    return LiveTemplate


def shell(screen: Screen, status: str, body: Any) -> str:
    """What the page says now, as HTML with its style and its clock.

    Parameters
    ----------
    status : str
        What is wrong with the page, as HTML; "" when nothing is.
    body : Panel object
        The sections, brought up to the screen.
    """
    now = html.escape(exchange_time(pd.Timestamp.now(tz="UTC")))
    head = status or f'<p class="muted" role="status">As of {now}; the live page is being drawn.</p>'
    said = "" if status else "".join(_words_of(body))
    age_s = screen.age_s()
    age = f"{age_s:.1f}" if math.isfinite(age_s) else "Infinity"
    return (
        f'<div id="shell"><template shadowrootmode="open"><style>{PARTS} .card {{ margin: 8px 10px; }}'
        f"</style>{head}{said}</template></div><script>{{{_LEAVE}}}\n"
        f"(cb_obj => {{{BEAT}}})({{value: '0 {age}'}});</script>"
    )


def _words_of(part: Any) -> Iterator[str]:
    """The ready HTML of the parts that are shown, from top to bottom, and how long each table is."""
    import panel as pn

    if not part.visible:
        return
    if isinstance(part, pn.pane.HTML):
        yield f"<div>{part.object}</div>" if part.object else ""
    elif isinstance(part, pn.widgets.Tabulator):
        yield f'<p class="muted">{len(part.value):,} row(s), being drawn.</p>'
    elif isinstance(part, pn.layout.base.ListLike):
        for one in part:
            yield from _words_of(one)
