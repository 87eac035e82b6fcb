"""Pre-trade controls: every order is judged, every reason is told, what cannot be judged is denied."""

from workbench.core.pretrade.check import RiskState, Verdict, check_orders, content_fingerprint
from workbench.core.pretrade.codes import DenialCode
from workbench.core.pretrade.controls import judge_order
from workbench.core.pretrade.limits import Limits, LimitValues
from workbench.core.pretrade.recent import ESTABLISHED, Recent
from workbench.core.pretrade.row import MarketArrays, OrderArrays, RecentArrays, judge_orders
from workbench.core.pretrade.values import (
    AccountValues,
    FlowValues,
    MarketValues,
    OrderValues,
    RecentValues,
)

__all__ = [
    "ESTABLISHED",
    "AccountValues",
    "DenialCode",
    "FlowValues",
    "LimitValues",
    "Limits",
    "MarketArrays",
    "MarketValues",
    "OrderArrays",
    "OrderValues",
    "Recent",
    "RecentArrays",
    "RecentValues",
    "RiskState",
    "Verdict",
    "check_orders",
    "content_fingerprint",
    "judge_order",
    "judge_orders",
]
