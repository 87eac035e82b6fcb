"""Write ``leak-zoo.md`` beside this file: what the leak detectors find, miss and accuse wrongly.

Run it after a detector or a specimen was changed: ``python docs/reference/build_leak_zoo.py``.
A test compares the page with what this script would write.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from workbench.core.types import Bars
from workbench.validation import read_bars, score_zoo

FOLDER = Path(__file__).parent
SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
_HEAD = """\
# What the leak detectors find

Written by `docs/reference/build_leak_zoo.py`; do not edit.

`workbench.validation.detect_lookahead` computes every value again from the bars up to it alone, and
`detect_warmup` from the rows alone that a live session loads. Here they are scored on planted leaks and on
innocents, over {rows} sessions of {symbols} from the sample, in which one symbol
begins late. The specimens are in `workbench/core/validation/zoo`.

| | specimens | found | |
|---|---|---|---|
| planted | {planted} | {found} | {missed} missed |
| innocent | {innocent} | {accused} | {accused} false alarm(s) |

Besides, every registered feature is judged by both detectors in the tests, by `workbench features
--check`, when a candidate is trained and when one is promoted.

What is missed here cannot be found by computing anything again: a function that carries a little of the
future in itself, and looks at the prices too, gives the same value at every bar. Only what ranks the next
return beyond .9 is suspect then, or beyond .25 where the prices do not matter at all.
"""
_TABLE = """
## {title}

| kind of mistake | specimen | verdict | findings |
|---|---|---|---|
"""


def zoo_bars() -> Bars:
    """The bars that the zoo is scored on."""
    folder = FOLDER.parents[1] / "data/sample/daily"
    return read_bars([folder / f"{symbol}.parquet" for symbol in SYMBOLS], last=256).rows(0, 160)


def pages(zoo: pd.DataFrame | None = None) -> dict[str, str]:
    """The text of every page by its name."""
    bars = zoo_bars()
    zoo = score_zoo(bars) if zoo is None else zoo
    planted, innocent = zoo[zoo["planted"]], zoo[~zoo["planted"]]
    head = _HEAD.format(
        rows=len(bars.ts_ns),
        symbols=", ".join(SYMBOLS),
        planted=len(planted),
        found=int(planted["found"].sum()),
        missed=int((~planted["found"]).sum()),
        innocent=len(innocent),
        accused=int(innocent["found"].sum()),
    )
    return {"leak-zoo.md": head + _rows("Planted", planted) + _rows("Innocent", innocent)}


def _rows(title: str, zoo: pd.DataFrame) -> str:
    lines = [
        f"| {one.group} | {one.specimen} | {one.kind or 'clean'} | {one.findings} |\n"
        for one in zoo.itertuples()
    ]
    return _TABLE.format(title=title) + "".join(lines)


if __name__ == "__main__":
    for _name, _text in pages().items():
        (FOLDER / _name).write_text(_text, encoding="utf-8")
