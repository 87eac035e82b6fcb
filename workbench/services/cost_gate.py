"""What trading costs at a decision, or nothing at all while the cost model may not be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.core.costs.model import Status
from workbench.core.policy import intended_shares
from workbench.core.ports import Event
from workbench.core.types import Floats, Snapshot

if TYPE_CHECKING:
    from workbench.services.decision import Strategy


def cost_status(strategy: Strategy, snapshot: Snapshot) -> Status:
    """Status of the cost model at the decision's time, in the market of that moment.

    The regime is judged by the median volatility of the universe; without any it is not known.
    """
    known = snapshot.volatility_bps[np.isfinite(snapshot.volatility_bps)]
    volatility = float(np.median(known)) if len(known) else float("nan")
    return strategy.cost_model.status(snapshot.scheduled_ns, volatility_bps=volatility)


def cost_floors(strategy: Strategy, snapshot: Snapshot, forecast: Floats) -> Floats:
    """Round-trip cost floor of each symbol in bps at the size that the policy would like to trade.

    All NaN unless the model is "ok": the policy then answers "cost missing" and nothing is sent.
    """
    if cost_status(strategy, snapshot) != "ok":
        return np.full(len(snapshot.symbols), np.nan)
    return strategy.cost_model.floor_row_bps(
        intended_shares(snapshot, forecast, strategy.policy),
        price_micro=snapshot.price_micro,
        adv_shares=snapshot.adv_shares,
        volatility_bps=snapshot.volatility_bps,
        half_spread_bps=snapshot.half_spread_bps,
        symbols=snapshot.symbols,
    )


def cost_alerts(strategy: Strategy, snapshot: Snapshot) -> list[Event]:
    """The alert that names why the cost model may not be used; empty while it may."""
    status = cost_status(strategy, snapshot)
    if status == "ok":
        return []
    text = f"cost model {strategy.cost_model_id[:12]} is {status}: no order at this decision"
    payload = {
        "account": strategy.account,
        "code": f"cost_model_{status}",
        "text": text,
        "at_ns": snapshot.scheduled_ns,
    }
    return [Event("alert.raised", payload)]
