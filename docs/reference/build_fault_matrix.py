"""Write fault-matrix.md from the results of the scenarios; every one is played for it, over real sockets."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HEAD = """# Fault matrix

What goes wrong between an order path and its venue, what the order path makes of it, and how many orders are
at the venue in the end. Written by `docs/reference/build_fault_matrix.py` from the results of the scenarios,
which `tests/crash/test_fault_matrix.py` plays again on every run: real sockets, the loopback venue with the
fault armed, and at the end the oracles of both sides (no order twice, none that no journal knows, every
execution booked once, every frozen symbol named, no secret in any text).

| scenario | what happens | injected fault | observed | orders at the venue | verdict |
|---|---|---|---|---|---|
"""


def row(scenario: Any, observed: str, line: Any) -> str:
    """One line of the table."""
    violations = line.violations()
    cells = (
        scenario.number, scenario.title, scenario.fault, observed, str(len(line.at_venue())),
        "holds" if not violations else "; ".join(violations),
    )  # fmt: skip
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def main() -> None:
    """Play every scenario and write the page."""
    sys.path.insert(0, str(ROOT))
    from tests.support.fault_scenarios import SCENARIOS
    from tests.support.order_line import order_line

    rows = []
    for scenario in SCENARIOS:
        with (
            tempfile.TemporaryDirectory() as folder,
            order_line(Path(folder), options=dict(scenario.options)) as line,
        ):
            try:
                observed = scenario.run(line)
            except AssertionError as error:
                observed = f"FAILED {error!r}"
            line.hands.clear_faults()
            rows.append(row(scenario, observed, line))
            print(rows[-1], flush=True)
    (ROOT / "docs/reference/fault-matrix.md").write_text(HEAD + "\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
