"""Files that a reader takes along: rows as CSV or Parquet, and one HTML file that needs no server."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from workbench.pages.parts import words

if TYPE_CHECKING:
    from workbench.screens.tca import TcaScreen

#: Rows of a table in the HTML file; the other two files hold all.
MOST_ROWS = 200
_STYLE = """
body { font: 14px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 24px auto; padding: 0 16px;
  color: #1b1f24; }
h1 { font-size: 22px; } h2 { font-size: 16px; margin-top: 28px; } img { max-width: 100%; }
table { border-collapse: collapse; font-size: 12.5px; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid #d0d7de; padding: 3px 10px; text-align: right; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 8px; }
dt { color: #59636e; font-size: 12px; } dd { margin: 0; } .n { color: #59636e; }
"""


def save_buttons(
    name: str, rows: Callable[[], pd.DataFrame], *, report: Callable[[], str] | None = None
) -> Any:
    """Buttons that save the rows of that moment as CSV and Parquet, and the whole as one HTML file."""
    import panel as pn

    def parquet() -> io.BytesIO:
        buffer = io.BytesIO()
        rows().to_parquet(buffer, index=False)
        buffer.seek(0)
        return buffer

    kinds: dict[str, Callable[[], Any]] = {
        f"{name}.csv": lambda: io.StringIO(rows().to_csv(index=False)), f"{name}.parquet": parquet,
    }  # fmt: skip
    if report is not None:
        kinds["report.html"] = lambda: io.StringIO(report())
    return pn.FlexBox(
        *(
            pn.widgets.FileDownload(
                callback=made, filename=file, label=f"Save {file}", button_type="default", width=190
            )
            for file, made in kinds.items()
        ),
        gap="8px",
    )


def execution_report(screen: TcaScreen, chosen: tuple[str, str, str, str]) -> str:
    """One HTML file of the chosen orders: figures, tables and two pictures, nothing fetched from anywhere."""
    found = screen.execution(chosen)
    if found is None:
        return f"<!doctype html><title>Execution</title><p>{html.escape(screen.nothing())}</p>"
    settings = screen.desk.settings
    tables: Mapping[str, pd.DataFrame] = {
        "Quantiles of the shortfall, with 90 % intervals": found.distribution,
        **{f"By {name}": screen.broken_down(chosen, name) for name in screen.groups},
        "Prices after the fills": found.markouts,
        f"Orders, the dearest first (at most {MOST_ROWS})": found.orders,
    }
    facts = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(words(value))}</dd></div>"
        for name, value in found.facts.items()
    )
    picture = base64.b64encode(screen.desk.plots.execution_picture(found.steps, found.orders)).decode()
    shown = "".join(f"<h2>{html.escape(name)}</h2>{_table(frame)}" for name, frame in tables.items())
    notes = "".join(f'<p class="n">{html.escape(note)}</p>' for note in found.notes)
    title = f"Execution of account {settings.account}, mode {settings.mode.value}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1>"
        f'<p class="n">Journal at event {screen.desk.journal.head()[0]:,}; settings '
        f"{html.escape(settings.config_hash)}.</p><dl>{facts}</dl>"
        f'<img alt="Parts and distribution of the shortfall" src="data:image/png;base64,{picture}">'
        f"{notes}{shown}</body></html>"
    )


def _table(frame: pd.DataFrame) -> str:
    head = "".join(f"<th>{html.escape(str(name).replace('_', ' '))}</th>" for name in frame.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(words(value))}</td>" for value in row) + "</tr>"
        for row in frame.head(MOST_ROWS).itertuples(index=False)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
