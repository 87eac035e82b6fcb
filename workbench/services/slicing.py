"""Which changes of a decision go out on a schedule, and what each of their children is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.core.policy import PolicyParams
from workbench.core.ports import Calendar
from workbench.core.slicing import Slice, plan_slices
from workbench.core.types import Decision, Snapshot, from_micro

if TYPE_CHECKING:
    from workbench.services.decision import Strategy


def planned_slices(
    strategy: Strategy, calendar: Calendar, snapshot: Snapshot, decision: Decision
) -> dict[str, tuple[Slice, ...]]:
    """Children of each change that exceeds what one order may have; empty unless the policy says so.

    The time runs from the decision or the open, whichever is later, to the close.
    """
    policy: PolicyParams = strategy.policy
    if policy.slicing != "almgren_chriss":
        return {}
    begin_ns = max(snapshot.scheduled_ns, calendar.session_open_ns(snapshot.session))
    end_ns = calendar.session_close_ns(snapshot.session)
    found = {}
    for at in np.flatnonzero(decision.delta_shares):
        symbol, delta = decision.symbols[at], int(decision.delta_shares[at])
        adv, volatility = float(snapshot.adv_shares[at]), float(snapshot.volatility_bps[at])
        most = int(strategy.limits.max_participation * adv) if np.isfinite(adv) else 0
        facts = {
            "adv": adv, "volatility_bps": volatility, "half_spread_bps": float(snapshot.half_spread_bps[at]),
            "price": from_micro(int(snapshot.price_micro[at])),
        }  # fmt: skip
        side = "buy" if delta > 0 else "sell"
        whole, least = (
            strategy.cost_model.expected_bps(symbol, side, size, **facts).mean for size in (abs(delta), 1)
        )
        children = plan_slices(
            abs(delta), most_shares=min(policy.max_slice_shares, most), begin_ns=begin_ns, end_ns=end_ns,
            price=facts["price"], volatility_bps=volatility, impact_bps=whole - least,
            half_spread_bps=facts["half_spread_bps"], risk_aversion=policy.slice_risk_aversion,
        )  # fmt: skip
        if children:
            found[symbol] = children
    return found
