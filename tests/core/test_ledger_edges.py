"""The ledger at its edges: spelling, order, rounding, the smallest quantity and the largest amount."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workbench.core.ledger import (
    Ledger,
    Posting,
    money_micro,
    opening_postings,
    posting_from_payload,
    posting_payload,
    postings_of_fill,
    reversal_postings,
)
from workbench.core.orders import Fill
from workbench.core.types import NANO, Side


def fill(side: Side, quantity_nano: int, price_micro: int, fee_micro: int = 0, symbol: str = "AAA") -> Fill:
    return Fill("x", "o", symbol, side, quantity_nano, price_micro, fee_micro, 1)


def booked(*fills: Fill, cash_micro: int = 10**12) -> Ledger:
    book = Ledger.opening(cash_micro)
    for one in fills:
        book = book.apply(postings_of_fill(book, one))
    return book


def test_accounts_are_spelled_as_the_journals_that_exist_spell_them() -> None:
    book = booked(fill(Side.BUY, 2 * NANO, 5_000_000, 7), fill(Side.SELL, NANO, 6_000_000))
    assert list(book.balances) == ["capital", "cash", "fees", "pnl:AAA", "securities:AAA"]
    for name in ("interest", "dividends:AAA"):
        assert Posting(name, 1, 0, "").ledger_account == name
    entry = [
        Posting("cash", 30, 0, ""),
        Posting("dividends:AAA", -20, 0, ""),
        Posting("interest", -10, 0, ""),
    ]
    assert Ledger().apply(entry).dividends_micro == 20
    line = Posting("securities:AAA", 1, 2, "why")
    payload = {"ledger_account": "securities:AAA", "amount_micro": 1, "quantity_nano": 2, "memo": "why"}
    assert posting_payload(line) == payload
    assert posting_from_payload(payload) == line


def test_accounts_stay_in_order_whatever_was_booked_first() -> None:
    book = booked(*(fill(Side.BUY, NANO, 1, 0, symbol) for symbol in ("ZZZ", "AAA", "MMM")))
    assert list(book.balances) == sorted(book.balances)


@pytest.mark.parametrize("value", [Posting("cash", 1, 0, ""), Ledger()])
def test_what_is_booked_cannot_be_changed(value: object) -> None:
    for item in dataclasses.fields(value):  # type: ignore[arg-type]
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, item.name, 1)
    with pytest.raises(TypeError):
        Ledger.opening(1).balances["cash"] = (2, 0)  # type: ignore[index]


def test_the_lines_of_an_execution_by_hand() -> None:
    bought = postings_of_fill(Ledger.opening(1), fill(Side.BUY, 10 * NANO, 5_000_000, 30))
    assert bought == (
        Posting("securities:AAA", 50_000_000, 10 * NANO, "buy 10 AAA"),
        Posting("cash", -50_000_030, 0, "buy 10 AAA"),
        Posting("fees", 30, 0, "buy 10 AAA"),
    )
    held = Ledger.opening(1).apply(bought)
    assert postings_of_fill(held, fill(Side.SELL, 4 * NANO, 6_000_000)) == (
        Posting("securities:AAA", -20_000_000, -4 * NANO, "sell 4 AAA"),
        Posting("cash", 24_000_000, 0, "sell 4 AAA"),
        Posting("pnl:AAA", -4_000_000, 0, "sell 4 AAA"),
    )


@pytest.mark.parametrize("side", list(Side))
def test_an_execution_that_opens_has_no_line_of_profit(side: Side) -> None:
    lines = postings_of_fill(Ledger(), fill(side, 10 * NANO, 5_000_000))
    assert [line.ledger_account for line in lines] == ["securities:AAA", "cash"]


def test_the_smallest_quantity_closes_too() -> None:
    book = booked(fill(Side.BUY, 1, 5_000_000_000))
    assert [line.amount_micro for line in postings_of_fill(book, fill(Side.SELL, 1, 7_000_000_000))] == [
        -5,
        7,
        -2,
    ]


def test_what_is_brought_in_counts_as_capital() -> None:
    held = {"MSFT": (-2 * NANO, -60), "AAPL": (3 * NANO, 300)}
    assert opening_postings(1_000, held) == (
        Posting("cash", 1_000, 0, "opening cash"),
        Posting("securities:AAPL", 300, 3 * NANO, "opening position"),
        Posting("securities:MSFT", -60, -2 * NANO, "opening position"),
        Posting("capital", -1_240, 0, "opening cash and positions"),
    )
    book = Ledger().apply(opening_postings(1_000, held))
    assert (book.cash_micro, book.capital_micro) == (1_000, 1_240)
    assert opening_postings(5)[-1] == Posting("capital", -5, 0, "opening cash")


def test_a_reversal_says_why_and_undoes_each_line() -> None:
    lines = reversal_postings([Posting("securities:AAA", 5, 7, "buy")], memo="bust")
    assert lines == (Posting("securities:AAA", -5, -7, "bust"),)


whole = st.integers(-(10**6), 10**6).map(lambda shares: shares * NANO)


@given(st.one_of(whole, st.integers(-(10**13), 10**13)), st.integers(0, 10**12))
@example(NANO // 2, 1)
@example(NANO // 2, 3)
@example(-NANO // 2, 1)
@example(-NANO // 2, 3)
@example(-3 * NANO // 2, 1)
@example(NANO // 2 - 1, 1)
@example(NANO // 2 + 1, 1)
@example(1, 400_000_000)
def test_money_is_rounded_half_to_even(quantity_nano: int, price_micro: int) -> None:
    assert money_micro(quantity_nano, price_micro) == round(Fraction(quantity_nano * price_micro, NANO))


@pytest.mark.parametrize("side", list(Side))
def test_a_part_of_a_position_leaves_at_its_rounded_average_cost(side: Side) -> None:
    """Three shares that cost 10 micros: 3 1/3 each, and the last one takes what is left."""
    away = Side(-side)
    book = booked(fill(side, 2 * NANO, 3), fill(side, NANO, 4))
    assert book.cost_micro == {"AAA": 10 * side}
    book = book.apply(postings_of_fill(book, fill(away, NANO, 4)))
    assert book.cost_micro == {"AAA": 7 * side}
    book = book.apply(postings_of_fill(book, fill(away, NANO, 4)))
    assert book.cost_micro == {"AAA": 3 * side}  # 3 1/2 leaves as 4, the even one
    book = book.apply(postings_of_fill(book, fill(away, NANO, 4)))
    assert book.balances["securities:AAA"] == (0, 0)


@pytest.mark.parametrize("amount", [2**63 - 1, 1 - 2**63])
def test_the_largest_amounts_fit(amount: int) -> None:
    assert Posting("cash", amount, 0, "").amount_micro == amount
    assert Posting("securities:AAA", 0, amount, "").quantity_nano == amount


@pytest.mark.parametrize("amount", [2**63, -(2**63)])
def test_one_beyond_the_largest_does_not_and_is_named(amount: int) -> None:
    for line in ((amount, 0), (0, amount), (amount, 5 * amount)):
        with pytest.raises(OverflowError, match=f"securities:AAA: {amount} does not fit"):
            Posting("securities:AAA", *line, "")
    sign = 1 if amount > 0 else -1
    book = Ledger().apply([Posting("cash", amount - sign, 0, ""), Posting("capital", sign - amount, 0, "")])
    with pytest.raises(OverflowError, match=r"cash|capital"):
        book.apply([Posting("cash", sign, 0, ""), Posting("capital", -sign, 0, "")])


def test_equity_is_cash_and_every_position_at_its_price() -> None:
    book = booked(fill(Side.BUY, 3 * NANO, 5), fill(Side.SELL, 2 * NANO, 7, 0, "BBB"), cash_micro=1_000)
    assert book.equity_micro({"AAA": 11, "BBB": 13}) == 1_000 - 15 + 14 + 33 - 26
    with pytest.raises(ValueError, match="no price for BBB"):
        book.equity_micro({"AAA": 1, "BBB": 0})
    assert book.equity_micro({"AAA": 1, "BBB": 1}) == 1_000
