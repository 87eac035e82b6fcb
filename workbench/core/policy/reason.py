"""Why the policy does what it does, in words that a supervisor reads."""

from __future__ import annotations

from enum import IntEnum


class Reason(IntEnum):
    """Why a symbol gets the order, or no order, that it gets."""

    ENTER = 1
    INCREASE = 2
    REDUCE = 3
    EXIT = 4
    AT_TARGET = 10
    WITHIN_BAND = 11
    EDGE_BELOW_COST = 12
    BELOW_ONE_LOT = 13
    SHORT_NOT_ALLOWED = 14
    FORECAST_MISSING = 20
    PRICE_MISSING = 21
    VOLATILITY_MISSING = 22
    EQUITY_MISSING = 23
    COST_MISSING = 24
    POSITION_MISSING = 25
    COST_MODEL_NOT_USABLE = 26
    NOT_TRADABLE = 30
    FROZEN = 31
    ORDER_WORKING = 32

    @property
    def word(self) -> str:
        """The reason as records and frames spell it, such as "edge_below_cost"."""
        return self.name.lower()

    @property
    def explain(self) -> str:
        """The reason as a sentence for the person who supervises."""
        return _EXPLAIN[self]


_EXPLAIN: dict[Reason, str] = {
    Reason.ENTER: "Opens a position: the expected edge exceeds the round-trip cost floor.",
    Reason.INCREASE: "Adds to the position: the expected edge exceeds the round-trip cost floor.",
    Reason.REDUCE: "Reduces the position: it is larger than the forecast still justifies.",
    Reason.EXIT: "Closes the position: the forecast has turned, or nothing justifies holding it.",
    Reason.AT_TARGET: "No order: the position is what it should be.",
    Reason.WITHIN_BAND: "No order: the change is smaller than the no-trade band.",
    Reason.EDGE_BELOW_COST: "No order: the expected edge does not exceed the round-trip cost floor.",
    Reason.BELOW_ONE_LOT: "No order: the desired position is smaller than one lot.",
    Reason.SHORT_NOT_ALLOWED: "No order: the forecast is negative and short positions are not allowed.",
    Reason.FORECAST_MISSING: "No order: the model gave no forecast.",
    Reason.PRICE_MISSING: "No order: there is no price.",
    Reason.VOLATILITY_MISSING: "No order: there is no volatility to size the position with.",
    Reason.EQUITY_MISSING: "No order: the equity of the account is not known or not positive.",
    Reason.COST_MISSING: "No order: the cost of trading is not known.",
    Reason.POSITION_MISSING: "No order: the position is not known.",
    Reason.COST_MODEL_NOT_USABLE: "No order: it would add risk, and the cost model may not be used.",
    Reason.NOT_TRADABLE: "No order: there is no plausible bar for the symbol.",
    Reason.FROZEN: "No order: the symbol is frozen by an order whose outcome is not resolved.",
    Reason.ORDER_WORKING: "No order: another order of the symbol is still working.",
}
