"""Every scenario of the fault matrix over real sockets, judged by the oracles; the page shows the results."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from tests.support.fault_scenarios import SCENARIOS, Scenario
from tests.support.order_line import order_line

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[one.number for one in SCENARIOS])
def test_what_goes_wrong_ends_in_a_named_state_and_one_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, scenario: Scenario
) -> None:
    caplog.set_level("DEBUG")
    with order_line(tmp_path, options=dict(scenario.options)) as line:
        observed = scenario.run(line)
        line.hands.clear_faults()
        assert line.violations(log=caplog.text) == []
        row = page().row(scenario, observed, line)
    assert row in (ROOT / "docs/reference/fault-matrix.md").read_text(), row


def page() -> Any:
    names = runpy.run_path(str(ROOT / "docs/reference/build_fault_matrix.py"), run_name="page")
    return type("Page", (), {"row": staticmethod(names["row"])})
