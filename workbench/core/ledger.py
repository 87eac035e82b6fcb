"""Double entry: cash, positions and profit are a fold of postings whose amounts sum to zero.

Accounts are plain words: "cash", "fees", "interest", "capital", and per symbol "securities:SYM" (at cost,
with the quantity), "pnl:SYM" (realised by average cost) and "dividends:SYM" (cash dividends). A debit is
positive, so an asset that grows and a cost that was paid are positive, income and capital are negative, and
the sum over all accounts is always 0.
Nothing is ever rewritten: a correction is a new entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from workbench.core.orders import Fill
from workbench.core.types import NANO

CASH = "cash"
FEES = "fees"
INTEREST = "interest"
CAPITAL = "capital"
SECURITIES = "securities:"
PNL = "pnl:"
DIVIDENDS = "dividends:"
BOUND = 2**63  #: amounts and quantities must fit the signed 64-bit columns they are stored in


@dataclass(frozen=True)
class Posting:
    """One line of an entry.

    Attributes
    ----------
    ledger_account : str
        "cash", "fees", "interest", "capital", "securities:SYM", "pnl:SYM" or "dividends:SYM".
    amount_micro : int
        Account currency micros; debit positive.
    quantity_nano : int
        Change of the position in 1e-9 shares; 0 except for securities.
    memo : str
        What the line is, for people.
    """

    ledger_account: str
    amount_micro: int
    quantity_nano: int
    memo: str

    def __post_init__(self) -> None:
        known = self.ledger_account in (CASH, FEES, INTEREST, CAPITAL) or (
            self.ledger_account.startswith((SECURITIES, PNL, DIVIDENDS))
            and not self.ledger_account.endswith(":")
        )
        if not known:
            raise ValueError(f"unknown ledger account {self.ledger_account!r}")
        if self.quantity_nano and not self.ledger_account.startswith(SECURITIES):
            raise ValueError(f"{self.ledger_account} cannot hold a quantity ({self.quantity_nano})")
        _bounded(self.ledger_account, self.amount_micro, self.quantity_nano)


@dataclass(frozen=True)
class Ledger:
    """Balances after some entries; immutable, `apply` gives the next one.

    Attributes
    ----------
    balances : mapping of str to (int, int)
        Ledger account -> (amount in micros, quantity in 1e-9 shares).
    """

    balances: Mapping[str, tuple[int, int]] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def opening(cls, cash_micro: int) -> Ledger:
        """A ledger that holds only its opening cash."""
        return cls().apply(opening_postings(cash_micro))

    @classmethod
    def from_postings(cls, postings: Iterable[Posting]) -> Ledger:
        """The fold of all postings of an account, in any order."""
        return cls().apply(tuple(postings))

    def apply(self, postings: Sequence[Posting]) -> Ledger:
        """The ledger after one entry.

        Raises
        ------
        ValueError
            The amounts do not sum to 0.
        OverflowError
            A balance leaves the signed 64-bit range.
        """
        imbalance = sum(posting.amount_micro for posting in postings)
        if imbalance:
            raise ValueError(f"postings must sum to 0 micros, they sum to {imbalance}")
        balances = dict(self.balances)
        for posting in postings:
            amount, quantity = balances.get(posting.ledger_account, (0, 0))
            balances[posting.ledger_account] = (
                amount + posting.amount_micro,
                quantity + posting.quantity_nano,
            )
        for name in {posting.ledger_account for posting in postings}:
            _bounded(name, *balances[name])
        if len(balances) != len(self.balances):  # a new name; those before it are in order already
            balances = dict(sorted(balances.items()))
        return Ledger(MappingProxyType(balances))

    @property
    def cash_micro(self) -> int:
        """Cash, account currency micros."""
        return self._amount(CASH)

    @property
    def capital_micro(self) -> int:
        """Capital that was paid in, currency micros."""
        return -self._amount(CAPITAL)

    @property
    def fees_micro(self) -> int:
        """Fees paid so far, positive, micros."""
        return self._amount(FEES)

    @property
    def positions_nano(self) -> dict[str, int]:
        """Signed position of every symbol that is not flat, 1e-9 shares."""
        return dict(self._positions)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {symbol: quantity for symbol, (_, quantity) in self._of(SECURITIES).items() if quantity}

    @property
    def cost_micro(self) -> dict[str, int]:
        """Cost of every position that is not flat, micros; negative for a short position."""
        return {symbol: amount for symbol, (amount, quantity) in self._of(SECURITIES).items() if quantity}

    @property
    def realised_micro(self) -> int:
        """Realised profit before fees over all symbols, micros; a gain is positive."""
        return sum(self.realised_by_symbol_micro.values())

    @property
    def realised_by_symbol_micro(self) -> dict[str, int]:
        """Realised profit before fees of each symbol, micros; a gain is positive."""
        return {symbol: -amount for symbol, (amount, _) in self._of(PNL).items()}

    @property
    def dividends_micro(self) -> int:
        """Cash dividends received over all symbols, micros; positive when received."""
        return -sum(amount for amount, _ in self._of(DIVIDENDS).values())

    def equity_micro(self, prices_micro: Mapping[str, int]) -> int:
        """Cash plus positions at the given prices, micros.

        Raises
        ------
        ValueError
            A held symbol has no price, or one that is not positive: no value is better than a wrong one.
        """
        total = self.cash_micro
        for symbol, quantity in self.positions_nano.items():
            price = prices_micro.get(symbol, 0)
            if price <= 0:
                raise ValueError(f"no price for {symbol}, of which {quantity / NANO:g} shares are held")
            total += money_micro(quantity, int(price))
        return total

    def _amount(self, name: str) -> int:
        return self.balances.get(name, (0, 0))[0]

    def _of(self, prefix: str) -> dict[str, tuple[int, int]]:
        return {
            name.removeprefix(prefix): balance
            for name, balance in self.balances.items()
            if name.startswith(prefix)
        }


def opening_postings(
    cash_micro: int, held: Mapping[str, tuple[int, int]] = MappingProxyType({})
) -> tuple[Posting, ...]:
    """The entry that brings opening cash and positions into the books.

    Parameters
    ----------
    held : mapping of str to (int, int)
        Symbol -> signed quantity in 1e-9 shares and its value in micros, which counts as paid-in capital.
    """
    positions = tuple(
        Posting(SECURITIES + symbol, value_micro, quantity_nano, "opening position")
        for symbol, (quantity_nano, value_micro) in sorted(held.items())
    )
    capital_micro = cash_micro + sum(value_micro for _, value_micro in held.values())
    return (
        Posting(CASH, cash_micro, 0, "opening cash"),
        *positions,
        Posting(CAPITAL, -capital_micro, 0, "opening cash" if not held else "opening cash and positions"),
    )


def reversal_postings(postings: Sequence[Posting], *, memo: str) -> tuple[Posting, ...]:
    """A new entry that undoes another one; the other stays in the books."""
    return tuple(Posting(p.ledger_account, -p.amount_micro, -p.quantity_nano, memo) for p in postings)


def postings_of_fill(ledger: Ledger, fill: Fill) -> tuple[Posting, ...]:
    """The entry of one execution: securities at cost, cash, fees and the realised profit.

    The part that closes a position leaves at average cost; the last share takes the exact remainder, so
    a flat position costs exactly 0. The part beyond it opens the other side at the fill's price.

    Parameters
    ----------
    ledger : Ledger
        Books *before* the fill.
    fill : Fill
        Execution with its quantity (1e-9 shares), price and fee (micros).

    Returns
    -------
    tuple of Posting
        Amounts sum to 0; quantities sum to the signed quantity of the fill.
    """
    memo = f"{fill.side.word} {fill.quantity_nano / NANO:g} {fill.symbol}"
    signed = int(fill.side) * fill.quantity_nano
    cost, held = ledger.balances.get(SECURITIES + fill.symbol, (0, 0))
    closing = 0 if held * signed >= 0 else max(-abs(held), min(abs(held), signed))
    released = cost if closing == -held else -_divide(cost * closing, held)
    notional = money_micro(signed, fill.price_micro)
    # What the closed part fetched; the whole fill when nothing opens, so no rounding can leak.
    proceeds = -notional if closing == signed else -money_micro(closing, fill.price_micro)
    opened = notional + proceeds
    lines = [Posting(SECURITIES + fill.symbol, opened - released, signed, memo)]
    lines.append(Posting(CASH, -notional - fill.fee_micro, 0, memo))
    if fill.fee_micro:
        lines.append(Posting(FEES, fill.fee_micro, 0, memo))
    if closing:
        lines.append(Posting(PNL + fill.symbol, released - proceeds, 0, memo))
    return tuple(lines)


def posting_payload(posting: Posting) -> dict[str, Any]:
    """The posting as a journal payload holds it."""
    return {
        "ledger_account": posting.ledger_account,
        "amount_micro": posting.amount_micro,
        "quantity_nano": posting.quantity_nano,
        "memo": posting.memo,
    }


def posting_from_payload(payload: Mapping[str, Any]) -> Posting:
    """The posting of a journal payload or of a row of the postings projection."""
    return Posting(
        payload["ledger_account"], payload["amount_micro"], payload["quantity_nano"], payload["memo"]
    )


def money_micro(quantity_nano: int, price_micro: int) -> int:
    """Quantity times price in micros; exact for whole shares, else half to even."""
    return _divide(quantity_nano * price_micro, NANO)


def _divide(numerator: int, denominator: int) -> int:
    """Integer quotient, half to even; no float in between, so no size at which it starts to lose."""
    if denominator < 0:
        numerator, denominator = -numerator, -denominator
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return quotient + (twice > denominator or (twice == denominator and quotient % 2 == 1))


def _bounded(name: str, amount_micro: int, quantity_nano: int) -> None:
    for value in (amount_micro, quantity_nano):
        if not -BOUND < value < BOUND:
            raise OverflowError(f"ledger account {name}: {value} does not fit 64 bits")
