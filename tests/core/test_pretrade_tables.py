"""The tables of the pre-trade controls against what is written elsewhere: pages, settings, the matrix."""

from __future__ import annotations

import dataclasses
import math
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from workbench.core.pretrade import ESTABLISHED, DenialCode, Limits, LimitValues, Recent, RiskState, Verdict
from workbench.core.pretrade.catalogue import CONTROLS, Control
from workbench.core.pretrade.codes import codes_of
from workbench.core.pretrade.limits import CEILINGS
from workbench.core.types import MICRO, NANO

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
#: Rows of the matrix that name a code although another control fulfils them, and rows of a control whose
#: code the matrix leaves out.
BESIDE = {
    "WINDOW_NOTIONAL": {19},
    "QUOTED_SPREAD": {21},
    "EXPECTED_COST": {21},
    "RATE": {19, 59},
    "GROSS": {19},
}
UNNAMED = {
    "ORDER_TYPE": {2}, "QUANTITY": {2}, "FROZEN": {32}, "RATE": {13}, "ACCOUNT_MISSING": {4},
    "SHORTFALL": {40},
}  # fmt: skip
#: The largest value of each limit.
LARGEST = {
    **dict.fromkeys(
        (
            "max_order_shares", "max_order_notional_usd", "max_position_shares", "max_position_notional_usd",
            "max_gross_notional_usd", "max_session_loss_usd", "first_max_notional_usd",
        ),
        1_000_000_000,
    ),
    **dict.fromkeys(("price_collar_bps", "max_quoted_spread_bps", "max_expected_cost_bps"), 5_000.0),
    **dict.fromkeys(("max_quote_age_s", "duplicate_window_s", "repeat_window_s"), 24 * 3_600),
    **dict.fromkeys(
        ("max_orders_per_minute", "max_repeated_executions", "max_working_orders", "max_open_symbols",
         "first_max_symbols", "max_quote_jump_bps"),
        10_000,
    ),
    **dict.fromkeys(
        ("max_participation", "max_net_fraction", "max_sector_fraction", "max_symbol_loss_fraction"), 1.0
    ),
    **dict.fromkeys(("max_volatility_multiple", "stop_rate_multiple", "max_window_turnover"), 100.0),
    "max_session_shortfall_fraction": 10.0, "price_move_sessions": 20, "max_price_move_bps": 100_000.0,
    "window_s": 3_600, "max_window_orders": 1_000.0, "first_sessions": 1_000, "first_max_orders": 1_000_000,
}  # fmt: skip


def test_codes_have_their_bits_in_the_order_of_the_page() -> None:
    rows = re.findall(r"(?m)^\| `(\w+)` \|", (REFERENCE / "denial-codes.md").read_text("utf-8"))
    assert [code.name for code in DenialCode] == rows
    assert [int(code) for code in DenialCode] == [2**n for n in range(len(rows))]
    for n, name in enumerate(rows):
        assert codes_of(2**n) == (name,)
    assert codes_of(2**43 - 1) == tuple(rows)
    assert codes_of(0) == ()


def test_each_control_has_the_limits_and_the_kernel_of_the_page() -> None:
    page = (REFERENCE / "denial-codes.md").read_text("utf-8")
    rows = re.findall(r"(?m)^\| `(\w+)` \| (.*?) \| (.*?) \| `(.*?)` \|$", page)
    told = {
        name: (sentence, tuple(re.findall(r"`(\w+)`", limits)), kernel)
        for name, sentence, limits, kernel in rows
    }
    here = {
        control.code.name: (
            control.code.explain,
            control.limits,
            f"{control.kernel.__module__.rpartition('.')[2]}.{control.kernel.__name__}",
        )
        for control in CONTROLS
    }
    assert here == told


def test_each_control_fulfils_the_rows_of_the_matrix_that_name_it() -> None:
    matrix = tomllib.loads((REFERENCE / "controls.toml").read_text("utf-8"))["row"]
    for control in CONTROLS:
        name = str(control.code.name)
        named = {int(row) for row, one in matrix.items() if f"denial:{name}" in one.get("reason", [])}
        assert len(control.rows) == len(set(control.rows))
        assert set(control.rows) | BESIDE.get(name, set()) == named | UNNAMED.get(name, set()), name


def test_a_limit_is_what_the_settings_say_when_nobody_said_anything() -> None:
    written = tomllib.loads((ROOT / "workbench.toml").read_text("utf-8"))["limits"]
    here = dataclasses.asdict(Limits()) | {"restricted": list(Limits().restricted)}
    assert here == written


@pytest.mark.parametrize("name", LARGEST)
def test_the_largest_and_smallest_value_of_a_limit(name: str) -> None:
    largest, smallest = LARGEST[name], 1 if isinstance(getattr(Limits(), name), int) else 5e-324
    beyond = largest + 1 if isinstance(largest, int) else math.nextafter(largest, math.inf)
    for value in (smallest, largest):
        assert getattr(Limits(**{name: value}), name) == value
    for value in (0, beyond):
        with pytest.raises(ValueError, match=rf"limits.{name} = .* must be above 0"):
            Limits(**{name: value})


def test_every_limit_has_a_largest_value() -> None:
    assert set(LARGEST) == set(CEILINGS)


@pytest.mark.parametrize("value", [-1, 31, True, math.nan])
def test_bars_may_be_up_to_thirty_sessions_old(value: float) -> None:
    assert [Limits(max_bar_age_sessions=n).max_bar_age_sessions for n in (0, 1, 30)] == [0, 1, 30]
    with pytest.raises(ValueError, match="max_bar_age_sessions"):
        Limits(max_bar_age_sessions=value)  # type: ignore[arg-type]


def test_symbols_and_sectors_are_words() -> None:
    assert Limits(restricted=("IBM", "AAPL")).restricted == ("IBM", "AAPL")
    for restricted in (["IBM"], ("IBM", ""), ("IBM", 7), (None,)):
        with pytest.raises(ValueError, match="restricted"):
            Limits(restricted=restricted)  # type: ignore[arg-type]
    assert Limits(sectors={"IBM": "technology"}).sectors == {"IBM": "technology"}
    for sectors in ({"IBM": "technology", "": "x"}, {"IBM": ""}, {"IBM": 1}, {1: "x"}, [("IBM", "x")]):
        with pytest.raises(ValueError, match="sectors"):
            Limits(sectors=sectors)  # type: ignore[arg-type]


def test_limits_in_kernel_form_by_hand() -> None:
    limits = Limits(
        max_order_shares=2, max_order_notional_usd=3, max_position_shares=5, max_position_notional_usd=7,
        max_gross_notional_usd=1_100, price_collar_bps=13.0, max_bar_age_sessions=17, max_quote_age_s=19.0,
        max_orders_per_minute=23, max_session_loss_usd=2_900, max_quoted_spread_bps=31.0,
        max_expected_cost_bps=37.0, max_participation=0.41, allow_short=True, max_net_fraction=0.43,
        max_sector_fraction=0.47, max_symbol_loss_fraction=0.53, max_session_shortfall_fraction=5.9,
        max_price_move_bps=61.0, max_volatility_multiple=67.0, max_quote_jump_bps=71.0,
        stop_rate_multiple=7.0, max_window_orders=79.0, max_window_turnover=8.0, max_working_orders=83,
        max_open_symbols=89,
        first_sessions=97, first_max_symbols=101, first_max_orders=103, first_max_notional_usd=107,
    )  # fmt: skip
    expected = LimitValues(
        max_order_shares=2.0, max_order_notional=3.0 * MICRO, max_position_shares=5.0,
        max_position_notional=7.0 * MICRO, max_gross_notional=1_100.0 * MICRO, max_collar_bps=13.0,
        max_bar_age_sessions=17.0, max_quote_age_ns=19.0 * NANO, max_orders_per_minute=23.0,
        max_session_loss=2_900.0 * MICRO, max_spread_bps=31.0, max_cost_bps=37.0, max_participation=0.41,
        allow_short=1.0, max_net_notional=473.0 * MICRO, max_sector_notional=517.0 * MICRO,
        max_symbol_loss=1_537.0 * MICRO, max_session_shortfall=17_110.0 * MICRO, max_price_move_bps=61.0,
        max_volatility_multiple=67.0, max_quote_jump_bps=71.0, stop_messages_per_minute=161.0,
        max_window_shares=158.0, max_window_notional=8_800.0 * MICRO, max_working_orders=83.0,
        max_open_symbols=89.0, first_sessions=97.0, first_max_symbols=101.0, first_max_orders=103.0,
        first_max_notional=107.0 * MICRO,
    )  # fmt: skip
    assert limits.values()._asdict() == pytest.approx(expected._asdict(), rel=1e-15)
    assert all(type(value) is float for value in limits.values())
    assert Limits().values().allow_short == 0.0


def some_recent(n: int = 2) -> Recent:
    columns = [np.zeros(n) for _ in range(10)]
    return Recent(*columns, *range(6))  # type: ignore[arg-type]


def test_what_is_known_cannot_be_changed_and_is_compared_by_identity() -> None:
    recent = some_recent()
    assert recent == recent
    assert recent != some_recent()
    assert isinstance(hash(recent), int)
    values = (Limits(), CONTROLS[0], Verdict("id", True, ()), recent)
    for value in values:
        for item in dataclasses.fields(value):  # type: ignore[arg-type]
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(value, item.name, None)
    for kind in (Limits, Control, Verdict, Recent, RiskState):
        assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert not RiskState.__dataclass_params__.eq  # type: ignore[attr-defined]
    assert isinstance(hash(Limits(sectors={"IBM": "technology"})), int), "limits are a key, sectors apart"
    assert ESTABLISHED == 1_000_000
