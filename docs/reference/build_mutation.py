"""Write ``mutation.md`` beside this file: how many planted faults the tests of the order path find.

``make mutants`` writes ``mutation.json`` and runs this at its end. A test compares the page with what this
script would write.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
_HEAD = """\
# Planted faults

Written by `docs/reference/build_mutation.py` from the results of `make mutants`; do not edit.

A test that cannot fail proves nothing. So faults are planted in the modules that decide about orders and
money, one at a time: a comparison at its boundary or turned round, `and` for `or`, another constant, a lost
statement, exchanged arguments, a member missing in a table. A fault that no test finds is a gap in the tests,
unless the changed code does the same as the original; these are listed with the reason below, and the run
fails when one of them is found after all. The score is the part of the faults that are found, of all that
can be found. Where fewer are judged than planted these are a uniform draw, and the score stands with its
interval of 95 %. Kernels run as plain Python there.
"""
_SCORES = """
## Scores

| module | files | planted | judged | found | by a limit | same | left | score | CPU s | commit | day |
|---|---|---|---|---|---|---|---|---|---|---|---|
"""
_KINDS = """
## What was changed

| module | {kinds} |
|---|{lines}
"""
_LEFT = """
## Not found

| file | function | original | fault |
|---|---|---|---|
"""
_SAME = """
## The same as the original

| file | function | original | fault | why no test can tell |
|---|---|---|---|---|
"""


def pages() -> dict[str, str]:
    """File name and whole text of the page that this script writes."""
    modules = json.loads((FOLDER / "mutation.json").read_text(encoding="utf-8"))
    same = tomllib.loads((FOLDER / "mutants-left.toml").read_text(encoding="utf-8")).get("mutant", [])
    kinds = sorted({kind for module in modules.values() for kind in module["operators"]})
    counts = "".join(
        _row(name, *(f"{module['operators'].get(kind, 0):,}" for kind in kinds))
        for name, module in modules.items()
    )
    left = [_row(*_fault(one)) for module in modules.values() for one in module["left"]]
    return {
        "mutation.md": _HEAD
        + _SCORES
        + "".join(_score(name, module) for name, module in modules.items())
        + _KINDS.format(kinds=" | ".join(kinds), lines="---|" * len(kinds))
        + counts
        + _LEFT
        + ("".join(left) or _row("-", "-", "-", "-"))
        + _SAME
        + "".join(_row(*_fault(one), one["reason"]) for one in same)
    }


def _score(name: str, module: dict[str, Any]) -> str:
    low, high = module["interval"] or (0.0, 0.0)
    commit = f"`{module['commit']}`" + (" with changes" if module["changed"] else "")
    return _row(
        name,
        str(len(module["files"])),
        f"{module['mutants']:,}",
        f"{module['judged']:,}",
        f"{len(module['found']):,}",
        str(module["by_a_limit"]),
        str(module["equivalent"]),
        str(len(module["left"])),
        f"{module['score']:.1%}" + (f" ({low:.1%} to {high:.1%})" if module["interval"] else ""),
        f"{module['cpu_s']:,}",
        commit,
        module["day"],
    )


def _fault(one: dict[str, str]) -> tuple[str, str, str, str]:
    return f"`{one['file']}`", f"`{one['where']}`", _code(one["before"]), _code(one["after"])


def _code(text: str) -> str:
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


if __name__ == "__main__":
    for _name, _text in pages().items():
        (FOLDER / _name).write_text(_text, encoding="utf-8")
