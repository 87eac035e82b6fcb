"""Each guard of the order path is switched off once, and the oracles must then say so."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.fault_scenarios import SCENARIOS
from tests.support.order_line import Line, order_line
from workbench.core.orders import UNRESOLVED, OrderState
from workbench.services import oms as oms_module
from workbench.services import sending


def new_id_on_retry(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same id on retry: every repeat gets a fresh one."""
    submit, number = line.broker.submit, itertools.count()

    def again(intent: Any) -> Any:
        n = next(number)
        return submit(
            dataclasses.replace(
                intent, client_order_id=f"{intent.client_order_id[:30]}-{n}" if n else intent.client_order_id
            )
        )

    line.broker.submit = again  # type: ignore[method-assign]


def no_write_ahead(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write-ahead: SENT is remembered and not journalled."""
    commit_sent = sending._commit_sent

    def forgetful(orders: Any, identities: Any, gate: Any, commit: Any, now_ns: Any) -> Any:
        return commit_sent(orders, identities, gate, lambda events: None, now_ns)

    monkeypatch.setattr(sending, "_commit_sent", forgetful)


def unknown_is_nothing(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """UNKNOWN at worst case: an order of unknown fate freezes nothing."""
    monkeypatch.setattr(oms_module, "UNRESOLVED", UNRESOLVED - {OrderState.UNKNOWN})


def no_fencing(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fencing: writes carry no token."""
    commit = line.journal.commit
    monkeypatch.setattr(line.journal, "commit", lambda events, lease=None: commit(events))


def fills_by_arrival(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fills keyed by execution id: each answer gives its rows new keys."""
    fills, number = line.broker.fills, itertools.count()

    def numbered(*, since_ns: int) -> tuple[Any, ...]:
        return tuple(
            dataclasses.replace(fill, execution_id=f"{fill.execution_id}-{next(number)}")
            for fill in fills(since_ns=since_ns)
        )

    line.broker.fills = numbered  # type: ignore[method-assign]


GUARDS: dict[Callable[[Line, pytest.MonkeyPatch], None], tuple[str, str]] = {
    new_id_on_retry: ("A3+", "at the venue and in no journal"),
    no_write_ahead: ("A2", "here and at the venue"),
    unknown_is_nothing: ("A14e", "is not frozen"),
    no_fencing: ("A10c", "the late holder sent"),
    fills_by_arrival: ("A17", "never happened"),
}


@pytest.mark.parametrize("switch_off", GUARDS, ids=lambda guard: str(guard.__name__))
def test_a_guard_that_is_off_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, switch_off: Callable[..., None]
) -> None:
    number, words = GUARDS[switch_off]
    (scenario,) = (one for one in SCENARIOS if one.number == number)
    with order_line(tmp_path) as line:
        with monkeypatch.context() as patch:
            switch_off(line, patch)
            try:
                scenario.run(line)
                told = []
            except AssertionError as error:
                told = [str(error)]
            told += line.violations()
        assert any(words in one for one in told), told
