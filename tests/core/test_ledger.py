"""The ledger: every entry balances, positions and cash are a fold, a flat position costs exactly nothing."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.ledger import (
    Ledger,
    Posting,
    opening_postings,
    posting_from_payload,
    posting_payload,
    postings_of_fill,
    reversal_postings,
)
from workbench.core.orders import Fill
from workbench.core.types import NANO, Side

OPENING = 1_000_000_000_000


def fill(
    side: Side, shares: int, price_micro: int, fee_micro: int = 0, symbol: str = "AAA", n: int = 0
) -> Fill:
    return Fill(f"x{n}", f"o{n}", symbol, side, shares * NANO, price_micro, fee_micro, n)


fills = st.lists(
    st.builds(
        fill,
        st.sampled_from(Side),
        st.integers(1, 10_000),
        st.integers(1, 2_000_000_000),
        st.integers(0, 5_000_000),
        st.sampled_from(["AAA", "BBB"]),
    ),
    max_size=30,
)


def fold(program: list[Fill]) -> tuple[Ledger, list[Posting]]:
    book, lines = Ledger.opening(OPENING), list(opening_postings(OPENING))
    for one in program:
        entry = postings_of_fill(book, one)
        assert sum(line.amount_micro for line in entry) == 0
        assert sum(line.quantity_nano for line in entry) == int(one.side) * one.quantity_nano
        book = book.apply(entry)
        lines.extend(entry)
    return book, lines


@given(fills)
def test_cash_positions_and_fees_are_the_plain_sums_of_the_fills(program: list[Fill]) -> None:
    book, _ = fold(program)
    cash = OPENING - sum(
        int(f.side) * (f.quantity_nano // NANO) * f.price_micro + f.fee_micro for f in program
    )
    assert book.cash_micro == cash
    assert book.fees_micro == sum(f.fee_micro for f in program)
    for symbol in ("AAA", "BBB"):
        held = sum(int(f.side) * f.quantity_nano for f in program if f.symbol == symbol)
        assert book.positions_nano.get(symbol, 0) == held


@given(fills, st.integers(1, 10**9))
def test_equity_is_capital_plus_realised_minus_fees_plus_unrealised(program: list[Fill], price: int) -> None:
    book, _ = fold(program)
    value = sum(q // NANO * price for q in book.positions_nano.values())
    unrealised = value - sum(book.cost_micro.values())
    equity = book.equity_micro({"AAA": price, "BBB": price})
    assert equity == OPENING + book.realised_micro - book.fees_micro + unrealised


@given(fills)
def test_a_flat_position_costs_exactly_nothing_and_all_its_cash_is_realised(program: list[Fill]) -> None:
    book, _ = fold(program)
    for n, (symbol, held) in enumerate(book.positions_nano.items()):
        side = Side.SELL if held > 0 else Side.BUY
        book = book.apply(postings_of_fill(book, fill(side, abs(held) // NANO, 7_654_321, 0, symbol, n)))
    assert book.positions_nano == {}
    assert all(book.balances.get(f"securities:{s}", (0, 0)) == (0, 0) for s in ("AAA", "BBB"))
    assert book.cash_micro == OPENING + book.realised_micro - book.fees_micro


@given(fills)
def test_cost_is_the_average_cost_to_half_a_micro_per_fill(program: list[Fill]) -> None:
    held, cost = Fraction(0), Fraction(0)
    for one in program:
        if one.symbol != "AAA":
            continue
        signed = Fraction(int(one.side) * one.quantity_nano, NANO)
        if held * signed >= 0:
            cost += signed * one.price_micro
        elif abs(signed) <= abs(held):
            cost += cost * signed / held
        else:
            cost = (held + signed) * one.price_micro
        held += signed
    book, _ = fold(program)
    assert abs(book.cost_micro.get("AAA", 0) - cost) <= Fraction(len(program), 2)


@given(fills, st.randoms(use_true_random=False))
def test_the_fold_does_not_depend_on_the_order_of_the_postings(program: list[Fill], random: object) -> None:
    book, lines = fold(program)
    stored = [posting_from_payload(posting_payload(line)) for line in lines]
    random.shuffle(stored)  # type: ignore[attr-defined]
    assert dict(Ledger.from_postings(stored).balances) == dict(book.balances)


def test_average_cost_by_hand() -> None:
    book = Ledger.opening(OPENING)
    for one in (
        fill(Side.BUY, 100, 10_000_000, 1_000_000),
        fill(Side.BUY, 50, 16_000_000),
        fill(Side.SELL, 60, 20_000_000, 20_000),
    ):
        book = book.apply(postings_of_fill(book, one))
    assert book.cost_micro == {"AAA": 1_080_000_000}  # 1,800 for 150 shares, 90 left at 12
    assert book.realised_by_symbol_micro == {"AAA": 480_000_000}
    assert book.fees_micro == 1_020_000


def test_a_fill_through_zero_closes_at_cost_and_opens_the_other_side_at_its_price() -> None:
    book = Ledger.opening(OPENING)
    book = book.apply(postings_of_fill(book, fill(Side.BUY, 10, 5_000_000)))
    book = book.apply(postings_of_fill(book, fill(Side.SELL, 25, 7_000_000)))
    assert book.positions_nano == {"AAA": -15 * NANO}
    assert book.cost_micro == {"AAA": -105_000_000}
    assert book.realised_micro == 20_000_000


def test_a_correction_is_a_new_entry_that_undoes_the_old_one() -> None:
    before = Ledger.opening(OPENING)
    entry = postings_of_fill(before, fill(Side.BUY, 3, 1_234_567, 10_000))
    after = before.apply(entry).apply(reversal_postings(entry, memo="bust"))
    assert after.cash_micro == OPENING
    assert after.positions_nano == {}
    assert after.fees_micro == 0


def test_an_entry_that_does_not_balance_is_refused() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        Ledger().apply([Posting("cash", 2, 0, ""), Posting("capital", -1, 0, "")])


@pytest.mark.parametrize("name", ["", "Cash", "securities:", "pnl:", "other"])
def test_an_unknown_account_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="unknown ledger account"):
        Posting(name, 0, 0, "")


def test_only_securities_hold_a_quantity() -> None:
    with pytest.raises(ValueError, match="cannot hold a quantity"):
        Posting("cash", 0, 1, "")


@pytest.mark.parametrize("prices", [{}, {"AAA": 0}, {"AAA": -1}, {"BBB": 5}])
def test_equity_without_a_price_of_a_held_symbol_is_refused(prices: dict[str, int]) -> None:
    book = Ledger.opening(OPENING)
    book = book.apply(postings_of_fill(book, fill(Side.BUY, 1, 5_000_000)))
    with pytest.raises(ValueError, match="no price for AAA"):
        book.equity_micro(prices)


def test_amounts_that_do_not_fit_64_bits_are_refused() -> None:
    with pytest.raises(OverflowError):
        Posting("cash", 2**63, 0, "")
    book = Ledger.opening(2**62)
    with pytest.raises(OverflowError):
        book.apply(opening_postings(2**62))
