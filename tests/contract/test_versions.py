"""What a run records of its tools: a version that is left out could never differ."""

from __future__ import annotations

import zoneinfo
from pathlib import Path

import pytest

from workbench.adapters import versions
from workbench.adapters.versions import LIBRARIES, TIME_ZONES, present_versions


def test_every_tool_that_reaches_a_decision_is_told() -> None:
    found = present_versions()
    assert set(found) == {"python", TIME_ZONES, *LIBRARIES}
    assert {"numpy", "numba", "exchange-calendars"} <= set(LIBRARIES)
    assert "absent" not in found.values()


def test_another_rule_of_the_exchange_zone_is_another_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = present_versions()[TIME_ZONES]
    zone = tmp_path / "America" / "New_York"
    zone.parent.mkdir()
    zone.write_bytes(b"TZif of another year")
    monkeypatch.setattr(zoneinfo, "TZPATH", (str(tmp_path),))
    changed = versions._zone_hash()
    zone.write_bytes(b"TZif of a third year")
    assert len({here, changed, versions._zone_hash()}) == 3
