"""What happened to orders of earlier sessions after those sessions were closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.core.orders import Order
from workbench.core.ports import Journal


def late_changes(
    journal: Journal,
    orders: Mapping[str, Order],
    closings: Sequence[Mapping[str, Any]],
    account: str,
    session: str,
) -> list[dict[str, Any]]:
    """Rows of orders of earlier sessions that changed after the last closing record, as they are now.

    Parameters
    ----------
    orders : mapping of str to Order
        Those that still count, by id; an id that is not there is asked of the journal.
    closings : sequence of rows
        The last closing record of the account, () when there is none.
    session : str
        The session that is being closed; its own orders are not late.
    """
    changes = journal.events(
        kinds=("order.changed", "order.adjusted", "fill.booked"),
        after_seq=int(closings[-1]["added_seq"]) if closings else 0,
    )
    touched = {str(event.payload["client_order_id"]) for event in changes}
    late = [key for key in touched if key not in orders or orders[key].intent.session != session]
    rows = [row for key in late for row in journal.rows("orders", client_order_id=key)]
    return [row for row in rows if row["account"] == account and row["session"] != session]
