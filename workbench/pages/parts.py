"""Cards, tables and bars; every text that comes from data is escaped."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import pandas as pd

from workbench.pages.drawer import why_link
from workbench.pages.style import PARTS

BOX = {
    "border": "1px solid var(--line)", "border-radius": "8px", "background": "var(--card)", "padding": "8px",
}  # fmt: skip
#: Pictures come so long after the words.
SOON_MS = 50
#: Verdicts on a feature; what cannot be judged is never green.
VERDICTS = {"DRIFT": "bad", "NONE": "good", "INSUFFICIENT": "warn"}


def card(text: str = "", **options: Any) -> Any:
    """A pane for ready HTML in the page's style; the caller escapes what comes from data."""
    import panel as pn

    return pn.pane.HTML(text, sizing_mode="stretch_width", stylesheets=[PARTS], **options)


def exchange_time(at: pd.Timestamp) -> str:
    """A moment in exchange time, with its zone."""
    return f"{at.tz_convert('America/New_York'):%Y-%m-%d %H:%M:%S %Z}"


def moment(at: pd.Timestamp) -> str:
    """A moment in exchange time as HTML that tells UTC to who hovers over it."""
    utc = f"{at.tz_convert('UTC'):%Y-%m-%d %H:%M:%S}"
    return f'<time datetime="{utc}Z" title="{utc} UTC">{exchange_time(at)}</time>'


def beside(*parts: Any, width_px: int = 380) -> Any:
    """Parts side by side where the window is wide enough, below each other where it is not."""
    import panel as pn

    for part in parts:
        part.styles = {**part.styles, "flex": f"1 1 {width_px}px", "min-width": "0"}
    return pn.FlexBox(*parts, gap="14px", sizing_mode="stretch_width")


def facts(
    title: str,
    values: Mapping[str, object],
    *,
    classes: Mapping[str, str] | None = None,
    why: str = "",
    whole: str = "",
) -> str:
    """Labelled values as HTML.

    Parameters
    ----------
    classes : mapping of str to str, optional
        Label -> "good", "warn" or "bad".
    why : str, default ""
        What the screen calls these values: each becomes a link to what it is made of.
    whole : str
        A question about all of them together, asked beside the title.
    """
    cells = []
    for label, value in values.items():
        text = moment(value) if isinstance(value, pd.Timestamp) else html.escape(words(value))
        shown = why_link(f"{why}/{label}", text) if why and value is not None else text
        level = (classes or {}).get(label, "")
        cells.append(f'<div><dt>{html.escape(label)}</dt><dd class="{level}">{shown}</dd></div>')
    return f'<section class="card">{heading(title, whole)}<dl class="facts">{"".join(cells)}</dl></section>'


def heading(title: str, why: str = "") -> str:
    """A panel's title, with the age of the panel and a link to what is behind it."""
    asked = why_link(why, "where from?") if why else ""
    return f"<h2>{html.escape(title)}{asked}</h2>"


def state_card(found: Mapping[str, Any]) -> str:
    """What the desk may do, in one large word and one sentence."""
    state, reason = html.escape(str(found["state"])), html.escape(str(found["reason"]))
    who = html.escape(f"Since {found['since']}, by {found['person']}, epoch {found['epoch']}")
    who = why_link("state", who)
    where = html.escape(
        f"Account {found['account']} in mode {found['mode']}, journal at event {found['journal_seq']:,}"
    )
    return (
        f'<section class="card" aria-live="polite"><div class="state {state}">{state}</div>'
        f"<p><b>{html.escape(str(found['meaning']))}</b>: {reason}</p>"
        f'<p class="muted">{who}<br>{where}</p></section>'
    )


def words(value: object) -> str:
    """A value for reading; a missing one is a dash, never a zero."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def bars(title: str, frame: pd.DataFrame, *, why: str = "") -> str:
    """Used parts of ceilings as HTML bars: columns limit, used, ceiling, utilisation; optional unit, of."""
    rows = []
    idle = [str(row["limit"]) for row in frame.to_dict("records") if row["used"] == 0.0]
    for row in frame.to_dict("records"):
        share = float(row["utilisation"])
        if row["used"] == 0.0:
            continue
        known = math.isfinite(share)
        level = "bad" if not known or share >= 1.0 else "warn" if share >= 0.8 else ""
        width = min(100.0, max(0.0, 100.0 * share)) if known else 100.0
        name, unit = html.escape(str(row["limit"])), html.escape(str(row.get("unit", "")))
        of = f'<span class="muted"> ({html.escape(str(row["of"]))})</span>' if row.get("of") else ""
        amount = f"{_round(row['used'])} of {_round(row['ceiling'])} {unit}"
        amount = why_link(f"{why}/{row['limit']}", amount) if why else amount
        rows.append(
            f"<dt>{name}</dt><dd>{amount}{of}"
            f'<div class="bar" role="meter" aria-label="{name}" aria-valuenow="{width:.0f}" '
            'aria-valuemin="0" aria-valuemax="100">'
            f'<span class="{level}" style="width:{width:.1f}%"></span></div></dd>'
        )
    cells = "".join(f"<div>{row}</div>" for row in rows)
    rest = f'<p class="muted">Nothing is used of: {html.escape(", ".join(idle))}.</p>' if idle else ""
    return f'<section class="card">{heading(title, why)}<dl class="facts wide">{cells}</dl>{rest}</section>'


def _round(value: float) -> str:
    """An amount beside its ceiling: without decimals that nobody needs to compare them."""
    whole = math.isfinite(value) and (abs(value) >= 100 or value == int(value))
    return f"{value:,.0f}" if whole else words(value)


def verdict(status: str, values: Mapping[str, object], *, whole: str = "") -> str:
    """A judgement in one large word with the values it rests on, as HTML; green only for "none"."""
    level = {"none": "good", "drift": "bad", "refused": "bad"}.get(status, "warn")
    word = {"none": "NO DRIFT FOUND"}.get(status, status.upper())
    head = f'<div class="state {level}">{html.escape(word)}</div>'
    return f'<section class="card" aria-live="polite">{head}</section>' + facts(
        "What it rests on", values, whole=whole
    )


def work_line(work: Any, advice: str) -> str:
    """What the background work does, what went wrong with it, or the advice, as HTML."""
    if work.progress:
        return f'<p class="muted" role="status">Working: {html.escape(work.progress)} …</p>'
    if work.problem:
        return (
            f'<div class="card problem" role="alert"><b class="bad">{html.escape(work.problem)}</b><br>'
            f"{html.escape(work.next_step)}</div>"
        )
    return notes([advice]) if advice else ""


def notes(lines: Iterable[str]) -> str:
    """Sentences below the figures that they limit, as HTML."""
    return "".join(f'<p class="muted">{html.escape(line)}</p>' for line in lines)


def unknown_order(order_id: str) -> str:
    """What to say of a link to an order that is not there, as HTML."""
    return (
        '<div class="card problem" role="alert"><b class="warn">There is no order '
        f"{html.escape(order_id[:100])} among those measured here.</b><br>It may belong to another desk, "
        "have been denied, or lie before the first session that this page measures. Choose one in the table "
        "above.</div>"
    )


def picture(height: int = 320) -> Any:
    """A place for a picture, as wide as there is room; `draw` it with a function that makes it.

    Words and tables are on the screen before the first picture is made: drawing libraries take seconds.
    """
    return _picture_type()(height)


@cache
def _picture_type() -> type:
    import panel as pn

    class Picture(pn.Column):  # type: ignore[misc]  # a pane that has drawn a picture cannot be hidden itself
        def __init__(self, height: int) -> None:
            super().__init__(sizing_mode="stretch_width", height=height)
            self._make: Callable[[], Any] | None = None
            self._of: pd.DataFrame | None = None

        def draw(self, make: Callable[[], Any], *, of: pd.DataFrame | None = None) -> None:
            """Show what `make` gives, as soon as the reader sees the page; the last asked for counts.

            Nothing is drawn again while the picture is `of` the same rows as before.
            """
            if of is not None and self._of is not None and of.equals(self._of):
                return
            self._make, self._of = make, of
            pn.state.onload(self._soon)

        def _soon(self) -> None:
            """Draw when what the reader reads first is on its way."""
            if pn.state.curdoc is not None and pn.state.curdoc.session_context is not None:
                pn.state.curdoc.add_timeout_callback(self._draw, SOON_MS)
            else:
                self._draw()

        def _draw(self) -> None:
            make, self._make = self._make, None
            if make is None:
                return
            if not len(self):
                self.append(pn.pane.HoloViews(sizing_mode="stretch_both", linked_axes=False))
            self[0].object = make()

    return Picture
