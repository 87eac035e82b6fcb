"""Write ``proofs.md`` beside this file: what the long proofs proved, for which code, on what machine.

``make prove`` writes ``proofs.json`` and runs this at its end. A test compares the page with what this
script would write.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
_HEAD = """\
# Proofs

Written by `docs/reference/build_proofs.py` from the results of `make prove`; do not edit.

The long proofs: random programs, crash matrices, writers that are killed for minutes. No further one is
started after 75 minutes, and `make test` runs a short version of each, from the same file. A row keeps its
result until the proof runs again, so rows may be of different runs; a run is one state of the code on one
machine. A proof without a row has not been recorded yet.
"""
_ROWS = """
## Results

| claim | counted | verdict | seconds | run | test |
|---|---|---|---|---|---|
"""
_RUNS = """
## Runs

| run | commit | day | machine | Python and SQLite | libraries |
|---|---|---|---|---|---|
"""


def pages() -> dict[str, str]:
    """File name and whole text of the page that this script writes."""
    results = FOLDER / "proofs.json"
    known = (
        json.loads(results.read_text(encoding="utf-8")) if results.exists() else {"runs": [], "proofs": {}}
    )
    rows = "".join(_row(identity, proof) for identity, proof in sorted(known["proofs"].items()))
    runs = "".join(_run(n, run) for n, run in enumerate(known["runs"], 1))
    return {"proofs.md": _HEAD + _ROWS + rows + _RUNS + runs}


def claim_of(identity: str) -> str:
    """The sentence that a test's name is: "a.py::test_all_is_kept[x]" says "all is kept (x)"."""
    name, bracket, case = identity.partition("::")[2].removeprefix("test_").partition("[")
    return name.replace("_", " ") + (f" ({case.removesuffix(']')})" if bracket else "")


def _row(identity: str, proof: dict[str, Any]) -> str:
    counted = ", ".join(
        str(value) if word == "said" else f"{word} {_number(value)}"
        for word, value in proof["figures"].items()
    )
    cells = (
        claim_of(identity),
        counted or "-",
        proof["verdict"],
        _number(proof["seconds"]),
        str(proof["run"] + 1),
        f"`{identity.partition('::')[0]}`",
    )
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |\n"


def _run(number: int, run: dict[str, Any]) -> str:
    commit = f"`{run['commit']}`" + (" with changes" if run["changed"] else "")
    machine = f"{run['system']} {run['machine']}, {run['cores']} cores"
    libraries = ", ".join(f"{name} {version}" for name, version in run["libraries"].items())
    cells = (str(number), commit, run["day"], machine, f"{run['python']}, {run['sqlite']}", libraries)
    return f"| {' | '.join(cells)} |\n"


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


if __name__ == "__main__":
    for _name, _text in pages().items():
        (FOLDER / _name).write_text(_text, encoding="utf-8")
