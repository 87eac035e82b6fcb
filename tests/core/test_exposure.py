"""Exposure of a moment: the controls' own sums at current marks, never less for knowing less (row 38)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.ledger import Ledger, Posting
from workbench.core.monitoring import Level
from workbench.core.monitoring.exposure import GROSS, LOSS, NET, exposure_at, exposure_now, latched
from workbench.core.monitoring.measures import Measure, measure
from workbench.core.pretrade import Limits, MarketArrays
from workbench.core.pretrade.row import exposure, market_at, symbol_net
from workbench.core.types import MICRO, NANO

LIMITS = Limits(max_gross_notional_usd=1_000, max_net_fraction=0.5, max_session_loss_usd=100,
                max_position_notional_usd=1_000, max_order_notional_usd=1_000)  # fmt: skip
SYMBOLS = ("A", "B", "C")
POSITIONS = st.fixed_dictionaries({s: st.integers(-500, 500) for s in SYMBOLS})
WORKING = st.fixed_dictionaries({s: st.tuples(st.integers(0, 300), st.integers(0, 300)) for s in SYMBOLS})
MARKS = st.fixed_dictionaries({s: st.integers(1, 900 * MICRO) for s in SYMBOLS})


def holding(cash_usd: int, **shares: int) -> Ledger:
    """Shares at a cost of 1 USD each, and cash."""
    ledger = Ledger.opening((cash_usd + sum(shares.values())) * MICRO)
    for symbol, count in shares.items():
        bought = (Posting(f"securities:{symbol}", count * MICRO, count * NANO, ""),
                  Posting("cash", -count * MICRO, 0, ""))  # fmt: skip
        ledger = ledger.apply(bought)
    return ledger


def levels(*args: object, **kwargs: object) -> dict[str, Level]:
    return {one.name: one.level for one in exposure_now(*args, **kwargs)}  # type: ignore[arg-type]


@given(POSITIONS, WORKING, MARKS)
def test_it_is_the_sum_that_the_controls_take_before_an_order(
    positions: dict[str, int], working: dict[str, tuple[int, int]], marks: dict[str, int]
) -> None:
    """One path: the kernels of the pre-trade controls are the oracle."""
    found = exposure_at({s: n * NANO for s, n in positions.items()}, working, marks)

    def column(values: list[int]) -> np.ndarray:
        return np.array(values, dtype=np.int64)

    zeros = column([0] * len(SYMBOLS))
    market = MarketArrays(
        price_micro=column([marks[s] for s in SYMBOLS]), bar_age_sessions=zeros, bid_micro=zeros,
        ask_micro=zeros, quote_age_ns=zeros, tradable=zeros, frozen=zeros,
        position_shares=column([positions[s] for s in SYMBOLS]),
        open_buy_shares=column([working[s][0] for s in SYMBOLS]),
        open_sell_shares=column([working[s][1] for s in SYMBOLS]), adv_shares=zeros.astype(float),
    )  # fmt: skip
    both = [symbol_net(market_at(market, i)) for i in range(len(SYMBOLS))]
    assert found.gross_micro == exposure(market)[0]
    assert found.net_micro == max(sum(up for up, _ in both), -sum(down for _, down in both), 0)
    assert found.unpriced == ()


@given(POSITIONS, WORKING, MARKS, st.sampled_from(SYMBOLS))
def test_a_price_that_is_missing_is_a_warning_and_hides_no_breach(
    positions: dict[str, int], working: dict[str, tuple[int, int]], marks: dict[str, int], gone: str
) -> None:
    held = {s: n for s, n in positions.items() if n > 0}
    ledger, start = holding(1_000, **held), 10**12
    rest = {s: price for s, price in marks.items() if s != gone}
    given_ = {"doubtful": (), "start_equity_micro": start, "limits": LIMITS}
    blind = levels(ledger, working, rest, **given_)
    if gone in held or any(working[gone]):
        assert blind[GROSS].rank >= Level.WARN.rank
    if gone in held:
        assert blind[LOSS] is Level.WARN
    without = {s: n for s, n in held.items() if s != gone}
    known = levels(holding(1_000, **without), {**working, gone: (0, 0)}, rest, **given_)
    assert blind[GROSS].rank >= known[GROSS].rank


def test_each_measure_is_a_part_of_its_limit() -> None:
    ledger = holding(0, A=10)
    found = exposure_now(
        ledger, {"A": (1, 0), "B": (0, 4)}, {"A": 60 * MICRO, "B": 50 * MICRO}, doubtful=(),
        start_equity_micro=650 * MICRO, limits=LIMITS,
    )  # fmt: skip
    assert {one.name: one.value for one in found} == {GROSS: 0.86, NET: 1.32, LOSS: 0.5}
    assert {one.name: one.level for one in found} == {GROSS: Level.OK, NET: Level.BLOCK, LOSS: Level.OK}


@pytest.mark.parametrize(
    ("equity", "level"), [(900, Level.OK), (919, Level.OK), (1_000, Level.OK), (851, Level.OK),
                          (1_060, Level.NOTE), (1_081, Level.WARN), (1_100, Level.WARN),
                          (1_100.01, Level.BLOCK)]
)  # fmt: skip
def test_a_loss_beyond_its_limit_blocks(equity: float, level: Level) -> None:
    """The session began with so much; 1,000 USD are left and 100 may be lost."""
    found = levels(
        holding(1_000), {}, {}, doubtful=(), start_equity_micro=round(equity * MICRO), limits=LIMITS
    )
    assert found[LOSS] is level


@pytest.mark.parametrize("price", [0, -1])
def test_an_absurd_mark_is_none(price: int) -> None:
    assert exposure_at({"A": NANO}, {}, {"A": price}).unpriced == ("A",)
    assert exposure_at({}, {"A": (0, 1)}, {"A": price}).unpriced == ("A",)
    assert exposure_at({"A": 0}, {"A": (0, 0)}, {}).unpriced == ()


def test_a_doubtful_mark_counts_and_warns() -> None:
    found = exposure_now(
        holding(0, A=1), {}, {"A": MICRO}, doubtful=("A",), start_equity_micro=0, limits=LIMITS
    )
    gross = found[0]
    assert (gross.value, gross.level) == (0.001, Level.WARN)
    assert "no fresh quote of A" in gross.detail


def test_a_breach_stands_until_the_measure_has_come_back_to_a_note() -> None:
    def at(value: float) -> Measure:
        return measure(GROSS, value)

    assert latched(None, at(1.2)).level is Level.BLOCK
    assert latched(at(1.2), at(1.05)) == at(1.2)
    assert latched(at(1.05), at(1.2)) == at(1.2)
    assert latched(at(1.2), at(0.95)) == at(0.95)
    assert latched(at(1.2), at(float("nan"))) == at(1.2)
