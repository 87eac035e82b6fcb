"""Pre-trade controls: every order is judged, every reason is told, what cannot be judged is denied."""

from workbench.core.pretrade.check import RiskState, Verdict, check_orders, content_fingerprint
from workbench.core.pretrade.codes import DenialCode
from workbench.core.pretrade.controls import AccountValues, MarketValues, OrderValues, judge_order
from workbench.core.pretrade.limits import Limits, LimitValues
from workbench.core.pretrade.row import MarketArrays, OrderArrays, judge_orders

__all__ = [
    "AccountValues",
    "DenialCode",
    "LimitValues",
    "Limits",
    "MarketArrays",
    "MarketValues",
    "OrderArrays",
    "OrderValues",
    "RiskState",
    "Verdict",
    "check_orders",
    "content_fingerprint",
    "judge_order",
    "judge_orders",
]
