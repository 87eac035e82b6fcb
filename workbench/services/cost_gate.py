"""What trading costs at a decision; only exits are priced while the cost model may not be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.core.costs.model import Status
from workbench.core.policy import decide, intended_shares, without_increases
from workbench.core.ports import Event
from workbench.core.types import Decision, Floats, Snapshot

if TYPE_CHECKING:
    from workbench.services.decision import Strategy


def cost_status(strategy: Strategy, snapshot: Snapshot) -> Status:
    """Status of the cost model at the decision's time, in the market of that moment.

    The regime is judged by the median volatility of the universe; without any it is not known.
    """
    if strategy.cost_problem != "ok":
        return strategy.cost_problem
    known = snapshot.volatility_bps[np.isfinite(snapshot.volatility_bps)]
    volatility = float(np.median(known)) if len(known) else float("nan")
    return strategy.cost_model.status(snapshot.scheduled_ns, volatility_bps=volatility)


def decide_at_cost(strategy: Strategy, snapshot: Snapshot, forecast: Floats) -> Decision:
    """What the policy wants where its edge beats the cost; while the model may not be used, exits alone.

    These are priced by the last model (or the configured prior, where none was approved): a cost model
    that nobody trusts must stop new risk, never the way out.
    """
    if cost_status(strategy, snapshot) == "ok":
        return decide(snapshot, forecast, strategy.policy, _floors(strategy, snapshot, forecast))
    last = _floors(strategy, snapshot, forecast)
    return without_increases(decide(snapshot, forecast, strategy.policy, last), snapshot.position_shares)


def cost_floors(strategy: Strategy, snapshot: Snapshot, forecast: Floats) -> Floats:
    """Round-trip cost floor of each symbol in bps at the size that the policy would like to trade.

    All NaN unless the model is "ok": nothing that would add risk has a floor then.
    """
    if cost_status(strategy, snapshot) != "ok":
        return np.full(len(snapshot.symbols), np.nan)
    return _floors(strategy, snapshot, forecast)


def _floors(strategy: Strategy, snapshot: Snapshot, forecast: Floats) -> Floats:
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
    text = (
        f"cost model {strategy.cost_model_id[:12]} is {status}: only risk-reducing orders at this decision, "
        f"priced by this {strategy.cost_model.source} model"
    )
    payload = {
        "account": strategy.account,
        "code": f"cost_model_{status}",
        "text": text,
        "at_ns": snapshot.scheduled_ns,
    }
    return [Event("alert.raised", payload)]
