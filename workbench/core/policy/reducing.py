"""What is left of a decision while no new risk may be taken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from workbench.core.policy.reason import Reason
from workbench.core.types import Decision, Integers


def without_increases(decision: Decision, position_shares: Integers) -> Decision:
    """The decision with its reductions and exits alone; what would add risk keeps its position.

    Parameters
    ----------
    decision : Decision
    position_shares : int64 (symbols,)
        Signed positions that the decision started from.
    """
    target, position = decision.target_shares, np.asarray(position_shares)
    reduces = (np.abs(target) < np.abs(position)) & (target * np.sign(position) >= 0)
    held_back = (decision.delta_shares != 0) & ~reduces

    def put(values: Integers, instead: Integers | int) -> Integers:
        return np.asarray(np.where(held_back, instead, values), dtype=np.int64)

    return replace(
        decision,
        target_shares=put(target, position),
        delta_shares=put(decision.delta_shares, 0),
        order_type=put(decision.order_type, 0),
        limit_micro=put(decision.limit_micro, 0),
        reason=put(decision.reason, int(Reason.COST_MODEL_NOT_USABLE)),
    )
