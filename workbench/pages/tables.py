"""Tables of the pages: sortable, sent page by page, made when there is a first row to show."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from workbench.pages.drawer import ask
from workbench.pages.parts import card, heading, moment

#: Larger whole numbers are not exact in a browser.
_EXACT = 2**53
#: Parts of a table's box before it holds rows.
_WITHOUT_GRID = 2
_GRID = """
:host .tabulator { font-size: 13px; border-color: var(--line) !important; } a { color: var(--accent); }
.tabulator .tabulator-header, .tabulator .tabulator-row, .tabulator .tabulator-row .tabulator-cell,
.tabulator .tabulator-header .tabulator-col { border-color: var(--line) !important; }
.tabulator .tabulator-row { height: 29px !important; min-height: 29px !important; }
.tabulator .tabulator-row .tabulator-cell { padding: 5px !important; height: 28px !important; }
.tabulator .tabulator-header .tabulator-col .tabulator-col-content { padding: 6px 20px 6px 5px !important; }
.tabulator .tabulator-footer { background: transparent !important; }
.tabulator .tabulator-footer .tabulator-page:not(.active) { color: var(--ink); background: var(--card); }
"""
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

    known, linked = colours or {}, links or {}
    given: dict[str, pd.DataFrame] = {}
    made: dict[str, Any] = {}
    if choose is None and why and key:

        def choose(row: int) -> None:
            ask(f"{why}/{given['frame'][key].iloc[row]}")

    note = card(f'<span class="muted">{html.escape(empty)}</span>')
    box = pn.Column(card(heading(title, why)), note, sizing_mode="stretch_width")

    def show(frame: pd.DataFrame) -> None:
        if "frame" in given and given["frame"].equals(frame):
            return  # the reader's sorting, page and click stay
        given["frame"] = frame
        note.visible = not len(frame)
        if "grid" not in made and len(frame):  # a table that was never filled weighs nothing
            made["grid"] = _grid(choose, page_size)
        if "grid" in made:
            _fill(made["grid"], frame, known, linked)
            if len(box) == _WITHOUT_GRID:
                box.append(made["grid"])

    return box, show


def _grid(choose: Callable[[int], None] | None, page_size: int) -> Any:
    import panel as pn

    grid = pn.widgets.Tabulator(
        pd.DataFrame(), show_index=False, disabled=True, pagination="remote", page_size=page_size,
        sizing_mode="stretch_width", layout="fit_data_fill", theme="simple",
        selectable=bool(choose) and 1, stylesheets=[_GRID],
    )  # fmt: skip
    if choose is not None:
        # not by the selection: a second click on the chosen row would clear it, and a redraw does so too
        grid.on_click(lambda event: choose(event.row))
    return grid


def _fill(grid: Any, frame: pd.DataFrame, colours: Mapping[str, str], links: Mapping[str, str]) -> None:
    """Give the grid new rows with their formats, as one change."""
    shown = _readable(frame)
    formatters = {name: made for name in frame.columns if (made := _formatter(frame[name]))}
    for name, column in shown.items():
        if column.isin(colours).any():
            shown[name] = [_coloured(html.escape(str(cell)), colours.get(str(cell), "")) for cell in column]
            formatters[str(name)] = {"type": "html"}
    for name, label in links.items():
        shown[name] = _texts(_link(address, label) for address in shown[name])
        formatters[name] = {"type": "html"}
    grid.param.update(
        formatters=formatters,
        text_align={name: "right" for name in frame.columns if frame[name].dtype.kind in "if"},
        titles={name: name.replace("_", " ") for name in frame.columns},
        selection=[],
        pagination="remote" if len(frame) > grid.page_size else None,
        value=shown,
        visible=bool(len(frame)),
    )


def _coloured(text: str, level: str) -> str:
    """A text that is escaped already, in the colour of its level."""
    return f'<b style="color: var(--{level})">{text}</b>' if level else text


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
