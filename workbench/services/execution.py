"""What a desk's own records say about execution: orders, fills, cost records, and books against paper."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from workbench.core.corporate import ADJUSTED_PREFIX
from workbench.core.features import market_statistics
from workbench.core.ledger import CAPITAL, CASH, DIVIDENDS, SECURITIES, money_micro
from workbench.core.orders import TERMINAL, OrderState
from workbench.core.ports import BarStore, Calendar
from workbench.core.tca import PARTS, implementation_shortfall, ledger_identity
from workbench.core.types import BPS, MICRO, NANO
from workbench.services.adoption import EXTERNAL

if TYPE_CHECKING:
    import pandas as pd

_HOUR_NS = 3_600 * NANO
_STATISTICS_ROWS = 21
_ORDERS = (
    "order_id", "session", "symbol", "side", "quantity", "decision_price", "arrival_price", "final_price",
    "decision_at", "sent_at", "order_type", "strategy", "model_id", "cost_model_id", "expected_cost_bps",
    "adv", "volatility_bps", "half_spread_bps", "added_seq", "seq",
)  # fmt: skip
#: What was known of an order's market, in the order of `core.features.market_statistics`.
_MARKET = ("adv", "volatility_bps", "half_spread_bps")
_FILLS = ("order_id", "execution_id", "symbol", "side", "quantity", "price", "fee", "filled_at", "session")
_RECORDS = (
    "session", "symbol", "side", "quantity", "price", "adv", "volatility_bps", "half_spread_bps", "cost_bps",
    "fee_bps", "expected_bps", "execution_id", "source",
)  # fmt: skip
_OUTCOMES = (
    "session", "order_id", "symbol", "side", "order_type", "quantity", "filled", "adv", "volatility_bps",
    "half_spread_bps", "cost_bps", "fee_bps", "delay_s", "source",
)  # fmt: skip
_BOOKS = (
    "session", "ledger", "paper", *PARTS, "unfilled_after", "other", "rounding_micro", "residual_micro",
)  # fmt: skip


class History(Protocol):
    """Rows of the journal's projections."""

    def rows(self, projection: str, **equals: Any) -> list[dict[str, Any]]:
        """Rows whose columns equal the given values."""
        ...


class ExecutionRecords:
    """Execution of one account as tables for `workbench.tca` and `workbench.costs`; reads only.

    Parameters
    ----------
    journal : History
    account : str
    source : {"simulated", "paper", "live"}
        Where this desk's fills come from; records of one source never calibrate a model of another.
    bars, calendar : BarStore and Calendar
        Closing prices, and what was known of the market at each decision.
    """

    def __init__(
        self, journal: History, account: str, *, source: str, bars: BarStore, calendar: Calendar
    ) -> None:
        self._journal, self._account, self._source = journal, account, source
        self._bars, self._calendar = bars, calendar
        self._told: dict[int, dict[str, tuple[float, float, float]]] = {}

    @property
    def source(self) -> str:
        """Provenance of these fills."""
        return self._source

    def orders(self) -> pd.DataFrame:
        """One row an order that was sent, as `workbench.tca.report` takes them.

        The final price is the close of the order's session, NaN where it is not known. On daily bars the
        price at arrival is the decision price. Daily volume, volatility and half spread are those of the
        bars that the decision could see, NaN where it saw none, filled or not: they are what a regime is
        told by. `added_seq` and `seq` lead to the journal rows.
        """
        sent = self._sent()
        facts = self._facts(sent)
        found = self._priced(sent)
        for at, name in enumerate(_MARKET):
            found[name] = [facts[row["scheduled_ns"], row["symbol"]][at] for row in sent]
        return found[list(_ORDERS)]

    def _priced(self, sent: list[dict[str, Any]]) -> pd.DataFrame:
        """The orders with their prices, times and models, without what was known of the market."""
        import pandas as pd

        decisions = {row["decision_id"]: row for row in self._rows("decisions")}
        closes = self._closes({(row["session"], row["symbol"]) for row in sent})
        rows = []
        for row in sent:
            price, decision = row["reference_micro"] / MICRO, decisions.get(row["decision_id"], {})
            expected = row["expected_cost_micro"]
            rows.append(
                {
                    **row,
                    "order_id": row["client_order_id"],
                    "quantity": row["quantity_nano"] / NANO,
                    "decision_price": price,
                    "arrival_price": price,
                    "final_price": float(closes.get((row["session"], row["symbol"]), math.nan)),
                    "decision_at": pd.Timestamp(row["scheduled_ns"], tz="UTC"),
                    "sent_at": pd.Timestamp(row["sent_at_ns"], tz="UTC"),
                    "model_id": decision.get("model_id", ""),
                    "cost_model_id": decision.get("cost_model_id", ""),
                    "expected_cost_bps": expected / 100 if abs(expected) < 2**62 else math.nan,
                }
            )
        return _frame(rows, tuple(name for name in _ORDERS if name not in _MARKET))

    def fills(self) -> pd.DataFrame:
        """One row an execution, in time order."""
        import pandas as pd

        rows = [
            {
                **row,
                "order_id": row["client_order_id"],
                "quantity": row["quantity_nano"] / NANO,
                "price": row["price_micro"] / MICRO,
                "fee": row["fee_micro"] / MICRO,
                "filled_at": pd.Timestamp(row["filled_at_ns"], tz="UTC"),
            }
            for row in self._own_fills()
        ]
        return _frame(rows, _FILLS)

    def records(self) -> pd.DataFrame:
        """One row an execution as `workbench.costs.fit_cost_model` takes them, with what was known then.

        Daily volume, volatility and half spread are those of the bars that the decision could see;
        cost_bps is side x (price - arrival price) and the fee, in bps of the arrival price.
        """
        orders = {row["client_order_id"]: row for row in self._sent()}
        facts = self._facts(list(orders.values()))
        rows = []
        for fill in self._own_fills():
            order = orders.get(fill["client_order_id"])
            if order is None or not order["reference_micro"]:
                continue
            adv, volatility, half_spread = facts[order["scheduled_ns"], fill["symbol"]]
            shares, arrival = fill["quantity_nano"] / NANO, order["reference_micro"]
            side = 1 if fill["side"] == "buy" else -1
            fee_bps = fill["fee_micro"] / (shares * arrival) * BPS
            expected = order["expected_cost_micro"]
            rows.append(
                {
                    **fill,
                    "quantity": shares,
                    "price": fill["price_micro"] / MICRO,
                    "adv": adv,
                    "volatility_bps": volatility,
                    "half_spread_bps": half_spread,
                    "cost_bps": side * (fill["price_micro"] - arrival) / arrival * BPS + fee_bps,
                    "fee_bps": fee_bps,
                    "expected_bps": expected / 100 if abs(expected) < 2**62 else math.nan,
                    "source": self._source,
                }
            )
        return _frame(rows, _RECORDS)

    def outcomes(self) -> pd.DataFrame:
        """One row an order that is over, as `workbench.costs.fit_fill_model` takes them.

        cost_bps and fee_bps are those of what was filled, NaN where nothing was; delay_s counts from sending
        to the first fill. Facts of the market as in `records`.
        """
        every = self._sent()
        facts = self._facts(every)
        sent = [row for row in every if row["reference_micro"] and OrderState(row["state"]) in TERMINAL]
        fills: dict[str, list[dict[str, Any]]] = {}
        for fill in self._own_fills():
            fills.setdefault(fill["client_order_id"], []).append(fill)
        rows = []
        for row in sent:
            own, arrival = fills.get(row["client_order_id"], []), row["reference_micro"]
            adv, volatility, half_spread = facts[row["scheduled_ns"], row["symbol"]]
            shares = sum(fill["quantity_nano"] for fill in own) / NANO
            value = shares * arrival / BPS if shares else math.nan
            paid = sum(fill["quantity_nano"] * (fill["price_micro"] - arrival) for fill in own) / NANO
            fee_bps = sum(fill["fee_micro"] for fill in own) / value
            rows.append(
                {
                    **row, "order_id": row["client_order_id"], "quantity": row["quantity_nano"] / NANO,
                    "filled": shares, "adv": adv, "volatility_bps": volatility,
                    "half_spread_bps": half_spread,
                    "cost_bps": (1 if row["side"] == "buy" else -1) * paid / value + fee_bps,
                    "fee_bps": fee_bps, "source": self._source,
                    "delay_s": (own[0]["filled_at_ns"] - row["sent_at_ns"]) / NANO if own else math.nan,
                }
            )  # fmt: skip
        return _frame(rows, _OUTCOMES)

    def books(self, *, split: str) -> pd.DataFrame:
        """One row a closed session: the ledger's profit explained by paper, shortfall and other money.

        ledger = paper - (delay + trading + opportunity + fees) - unfilled_after + other, in currency;
        `residual_micro` is what that leaves unexplained, in whole micros: 0 when journal, books and
        prices belong together, missing where a closing price is not known.
        """
        orders, fills = self._priced(self._sent()), self.fills()
        sessions = sorted(self._rows("sessions"), key=lambda row: row["session"])
        paid_in = -sum(
            row["amount_micro"] for row in self._rows("postings") if row["ledger_account"] == CAPITAL
        )
        before: dict[str, Any] = {"session": "", "equity_micro": paid_in, "positions": {}}
        rows = []
        for row in sessions:
            rows.append(self._book(row, before, orders, fills, split))
            before = row
        return _frame(rows, _BOOKS)

    def _book(
        self,
        row: dict[str, Any],
        before: dict[str, Any],
        orders: pd.DataFrame,
        fills: pd.DataFrame,
        split: str,
    ) -> dict[str, Any]:
        session = row["session"]
        mine = orders[orders["session"] == session]
        held = {
            symbol: Decimal(int(nano)) / NANO for symbol, nano in before["positions"].items() if int(nano)
        }
        postings = self._rows("postings", session=session)
        accepted = [one for one in postings if one["entry_id"].startswith(ADJUSTED_PREFIX)]
        symbols = set(held) | set(mine["symbol"]) | set(row["positions"])
        symbols |= {
            one["ledger_account"].removeprefix(SECURITIES) for one in accepted if one["quantity_nano"]
        }
        ends = self._closes({(session, symbol) for symbol in symbols})
        starts = self._closes({(before["session"], symbol) for symbol in held}) if held else {}
        dividends = -sum(
            posting["amount_micro"] for posting in postings if posting["ledger_account"].startswith(DIVIDENDS)
        )
        try:
            found = ledger_identity(
                mine,
                fills[fills["order_id"].isin(mine["order_id"])],
                split=split,
                ledger_micro=row["equity_micro"] - before["equity_micro"],
                opening=held,
                opening_prices={symbol: price for (_, symbol), price in starts.items()},
                closing_prices={symbol: price for (_, symbol), price in ends.items()},
                other_micro={"dividends": dividends, "adjustments": _worth(accepted, session, ends)},
            )
        except (ValueError, KeyError):  # a price that is not known: no figure is better than a wrong one
            return {name: None for name in _BOOKS} | {"session": session}
        parts = {name: getattr(found, f"{name}_micro") / MICRO for name in PARTS}
        return {
            "session": session,
            "ledger": found.ledger_micro / MICRO,
            "paper": found.paper_micro / MICRO,
            **parts,
            "unfilled_after": found.unfilled_after_micro / MICRO,
            "other": sum(found.other_micro.values()) / MICRO,
            "rounding_micro": found.rounding_micro,
            "residual_micro": found.residual_micro,
        }

    def shortfall(self, *, split: str) -> pd.DataFrame:
        """Implementation shortfall of the orders whose prices are all known."""
        orders, fills = self._priced(self._sent()), self.fills()
        known = orders[orders["final_price"].notna()]
        return implementation_shortfall(known, fills[fills["order_id"].isin(known["order_id"])], split=split)

    def _facts(self, sent: list[dict[str, Any]]) -> dict[tuple[int, str], tuple[float, float, float]]:
        """Daily volume, volatility and half spread of each decision time and symbol; NaN = not known.

        All orders of a decision are asked for together, so that an answer does not depend on who asks. What
        a decision saw never changes, so it is read once; what it missed is looked for again.
        """
        wanted: dict[int, set[str]] = {}
        for row in sent:
            wanted.setdefault(row["scheduled_ns"], set()).add(row["symbol"])
        found: dict[tuple[int, str], tuple[float, float, float]] = {}
        for at_ns, symbols in wanted.items():
            facts = self._told.get(at_ns, {})
            if not symbols <= facts.keys():
                known = self._known(sorted(symbols), at_ns)
                facts = {symbol: known.get(symbol, (math.nan,) * 3) for symbol in symbols}
                if np.isfinite(list(facts.values())).all():
                    self._told[at_ns] = facts
            found |= {(at_ns, symbol): facts[symbol] for symbol in symbols}
        return found

    def _known(self, symbols: list[str], at_ns: int) -> dict[str, tuple[float, float, float]]:
        """Daily volume, volatility and half spread of each symbol as a decision at that time saw them."""
        panel = self._bars.read(symbols, as_of_ns=at_ns, rows=_STATISTICS_ROWS)
        adv, volatility, half_spread = market_statistics(panel)
        return {
            symbol: (float(adv[at]), float(volatility[at]), float(half_spread[at]))
            for at, symbol in enumerate(panel.symbols)
        }

    def _closes(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Decimal]:
        """Raw close of each session and symbol, as known that evening."""
        by_session: dict[str, set[str]] = {}
        for session, symbol in wanted:
            by_session.setdefault(session, set()).add(symbol)
        found = {}
        for session, symbols in by_session.items():
            close_ns = self._calendar.session_close_ns(session)
            panel = self._bars.read(sorted(symbols), as_of_ns=close_ns + 6 * _HOUR_NS, rows=1, view="raw")
            for at, symbol in enumerate(panel.symbols):
                if len(panel.ts_ns) and panel.ts_ns[-1] == close_ns and panel.tradable[-1, at]:
                    found[session, symbol] = Decimal(round(float(panel.close[-1, at]) * MICRO)) / MICRO
        return found

    def _sent(self) -> list[dict[str, Any]]:
        rows = [row for row in self._rows("orders") if row["sent_at_ns"] and row["strategy"] != EXTERNAL]
        return sorted(rows, key=lambda row: (row["scheduled_ns"], row["symbol"], row["added_seq"]))

    def _own_fills(self) -> list[dict[str, Any]]:
        """Fills of orders that this desk decided, in time order: nobody else's execution is ours to judge."""
        others = {row["client_order_id"] for row in self._rows("orders", strategy=EXTERNAL)}
        rows = [row for row in self._rows("fills") if row["client_order_id"] not in others]
        return sorted(rows, key=lambda row: (row["filled_at_ns"], row["execution_id"]))

    def _rows(self, projection: str, **equals: Any) -> list[dict[str, Any]]:
        return self._journal.rows(projection, account=self._account, **equals)


def _worth(postings: list[dict[str, Any]], session: str, closes: Mapping[tuple[str, str], Decimal]) -> int:
    """What entries that a person accepted did to the equity at the close: their cash, and their shares."""
    cash = sum(int(one["amount_micro"]) for one in postings if one["ledger_account"] == CASH)
    shares = [one for one in postings if one["quantity_nano"]]
    return cash + sum(
        money_micro(
            one["quantity_nano"],
            int(closes[session, one["ledger_account"].removeprefix(SECURITIES)] * MICRO),
        )
        for one in shares
    )


def _frame(rows: list[Mapping[str, Any]] | list[dict[str, Any]], columns: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame([{name: row[name] for name in columns} for row in rows], columns=list(columns))
