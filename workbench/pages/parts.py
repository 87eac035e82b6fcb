"""Cards, tables and bars; every text that comes from data is escaped."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import pandas as pd

from workbench.pages.drawer import ask, why_link
from workbench.pages.style import PARTS

BOX = {
    "border": "1px solid var(--line)", "border-radius": "8px", "background": "var(--card)", "padding": "8px",
}  # fmt: skip
#: Larger whole numbers are not exact in a browser.
_EXACT = 2**53
_GRID = ":host .tabulator { font-size: 13px; } .tabulator .tabulator-footer { background: transparent; }"
#: Verdicts on a feature; what cannot be judged is never green.
VERDICTS = {"DRIFT": "bad", "NONE": "good", "INSUFFICIENT": "warn"}
#: Digits after the point by the unit at the end of a column's name.
_DIGITS = {
    "usd": 2,
    "bps": 2,
    "shares": 0,
    "fraction": 4,
    "%": 1,
    "value": 4,
    "n": 0,
    "sd": 2,
    "psi": 3,
    "s": 2,
    "ks": 3,
}


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
    title: str, values: Mapping[str, object], *, classes: Mapping[str, str] | None = None, why: str = ""
) -> str:
    """Labelled values as HTML.

    Parameters
    ----------
    classes : mapping of str to str, optional
        Label -> "good", "warn" or "bad".
    why : str, default ""
        What the screen calls these values: each becomes a link to what it is made of.
    """
    cells = []
    for label, value in values.items():
        text = moment(value) if isinstance(value, pd.Timestamp) else html.escape(words(value))
        shown = why_link(f"{why}/{label}", text) if why and value is not None else text
        level = (classes or {}).get(label, "")
        cells.append(f'<div><dt>{html.escape(label)}</dt><dd class="{level}">{shown}</dd></div>')
    return f'<section class="card">{heading(title)}<dl class="facts">{"".join(cells)}</dl></section>'


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


def table(
    title: str,
    *,
    empty: str,
    page_size: int = 12,
    choose: Callable[[int], None] | None = None,
    colours: Mapping[str, str] | None = None,
    why: str = "",
    key: str = "",
    links: Mapping[str, str] | None = None,
) -> tuple[Any, Callable[[pd.DataFrame], None]]:
    """A sortable table in a card, and the function that gives it new rows.

    Parameters
    ----------
    title : str
    empty : str
        What an empty table means, in words.
    page_size : int
        Rows that are sent to the browser at once.
    choose : callable (row) -> None, optional
        Told the place of a row in the frame when a reader clicks it.
    colours : mapping of str to str, optional
        Whole text of a cell -> "good", "warn" or "bad".
    why, key : str, default ""
        What the screen calls this table, and the column that names its rows there: a link beside the title
        asks for all rows of the journal behind it, a click for those behind the clicked row.
    links : mapping of str to str, optional
        Column of addresses on this server -> words under which the address is linked.
    """
    import panel as pn

    known = colours or {}
    given: dict[str, pd.DataFrame] = {}
    if choose is None and why and key:

        def choose(row: int) -> None:
            ask(f"{why}/{given['frame'][key].iloc[row]}")

    head = card(heading(title, why))
    note = card(f'<span class="muted">{html.escape(empty)}</span>')
    grid = pn.widgets.Tabulator(
        pd.DataFrame(), show_index=False, disabled=True, pagination="remote", page_size=page_size,
        sizing_mode="stretch_width", layout="fit_data_fill", theme="simple",
        selectable=bool(choose) and 1, stylesheets=[_GRID],
    )  # fmt: skip
    if choose is not None:
        # not by the selection: a second click on the chosen row would clear it, and a redraw does so too
        grid.on_click(lambda event: choose(event.row))

    def show(frame: pd.DataFrame) -> None:
        if "frame" in given and given["frame"].equals(frame):
            return  # the reader's sorting, page and click stay
        given["frame"] = frame
        grid.formatters = {name: made for name in frame.columns if (made := _formatter(frame[name]))}
        grid.text_align = {name: "right" for name in frame.columns if frame[name].dtype.kind in "if"}
        grid.titles = {name: name.replace("_", " ") for name in frame.columns}
        grid.selection = []
        grid.pagination = "remote" if len(frame) > page_size else None
        shown = _readable(frame)
        for name, column in shown.items():
            if column.isin(known).any():
                shown[name] = [_coloured(html.escape(str(cell)), known.get(str(cell), "")) for cell in column]
                grid.formatters = {**grid.formatters, name: {"type": "html"}}
        for name, label in (links or {}).items():
            shown[name] = _texts(_link(address, label) for address in shown[name])
            grid.formatters = {**grid.formatters, name: {"type": "html"}}
        grid.value = shown
        grid.visible, note.visible = bool(len(frame)), not len(frame)

    return pn.Column(head, note, grid, sizing_mode="stretch_width"), show


def _coloured(text: str, level: str) -> str:
    """A text that is escaped already, in the colour of its level."""
    return f'<b style="color: var(--{level})">{text}</b>' if level else text


def verdict(status: str, values: Mapping[str, object]) -> str:
    """A judgement in one large word with the values it rests on, as HTML; green only for "none"."""
    level = {"none": "good", "drift": "bad", "refused": "bad"}.get(status, "warn")
    word = {"none": "NO DRIFT FOUND"}.get(status, status.upper())
    head = f'<div class="state {level}">{html.escape(word)}</div>'
    return f'<section class="card" aria-live="polite">{head}</section>' + facts("What it rests on", values)


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
    """An empty place for a picture that is as wide as its place; give it the picture as `object`."""
    return _picture_type()(height)


@cache
def _picture_type() -> type:
    import panel as pn

    class Picture(pn.Column):  # type: ignore[misc]  # a pane that has drawn a picture cannot be hidden itself
        def __init__(self, height: int) -> None:
            pane = pn.pane.HoloViews(sizing_mode="stretch_width", height=height, linked_axes=False)
            super().__init__(pane, sizing_mode="stretch_width")

        @property
        def object(self) -> Any:
            """The picture."""
            return self[0].object

        @object.setter
        def object(self, drawn: Any) -> None:
            self[0].object = drawn

    return Picture


def _link(address: str, label: str) -> str:
    """A link to a place on this server, in a window of its own; nothing where there is no address."""
    return f'<a href="{html.escape(address)}" target="_blank">{html.escape(label)}</a>' if address else ""


def _formatter(column: pd.Series[Any]) -> Any:
    """Digits by the unit in the column's name; four for a float without a unit, so that it can be read."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return {"type": "html"}
    unit = str(column.name).rpartition("_")[2]
    if unit not in _DIGITS and column.dtype.kind != "f":
        return None
    return {"type": "money", "precision": _DIGITS.get(unit, 4), "thousand": ",", "symbol": ""}


def _readable(frame: pd.DataFrame) -> pd.DataFrame:
    """Times in exchange time, missing values blank; the grid itself shows every text as text."""
    shown = frame.reset_index(drop=True)
    for name, column in shown.items():
        if isinstance(column.dtype, pd.DatetimeTZDtype):
            shown[name] = _texts("" if pd.isna(at) else moment(at) for at in column)
        elif column.dtype.kind == "f":
            shown[name] = column.astype(object).where(column.notna(), None)  # a missing number is a blank
        elif column.dtype.kind in "iu" and len(column) and column.abs().max() > _EXACT:
            shown[name] = _texts(str(value) for value in column)  # a browser would round it
        elif column.dtype.kind not in "ib":
            shown[name] = _texts(_text(value) for value in column)
    return shown


def _texts(values: Iterable[str]) -> pd.Series[str]:
    """A column of texts, also when there is none: the grid keeps for ever what it first took a column for."""
    return pd.Series(list(values), dtype="str")


def _text(value: object) -> str:
    missing = value is None or value is pd.NaT or value is pd.NA or value != value
    return "" if missing else str(value)
