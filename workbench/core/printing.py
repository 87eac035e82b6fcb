"""How results print themselves in a notebook: what they say, then the conventions they follow."""

from __future__ import annotations

import html
from collections.abc import Mapping


def html_table(title: str, facts: Mapping[str, object], conventions: Mapping[str, object]) -> str:
    """Facts and conventions as one small HTML table.

    Parameters
    ----------
    title : str
    facts : mapping of str to object
        Floats are shown with six significant digits.
    conventions : mapping of str to object
        What was chosen where the field has several ways.
    """
    rows = [_row(name, value) for name, value in facts.items()]
    if conventions:
        rows.append('<tr><th colspan="2" style="text-align:left">conventions</th></tr>')
        rows += [_row(name, value) for name, value in conventions.items()]
    return f"<table><caption>{html.escape(title)}</caption>{''.join(rows)}</table>"


def _row(name: str, value: object) -> str:
    shown = f"{value:.6g}" if isinstance(value, float) else str(value)
    cells = f"<td>{html.escape(name)}</td><td>{html.escape(shown)}</td>"
    return f'<tr style="text-align:left">{cells}</tr>'
