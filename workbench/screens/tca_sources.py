"""What the numbers and tables of the page of execution quality are made of."""

from __future__ import annotations

from workbench.screens.questions import Source


def tca_sources(account: str) -> dict[str, Source]:
    """What the numbers and tables of the page are made of."""
    mine = {"account": account}
    return {
        "execution": Source("Orders that were sent, with the price at which each was decided; implementation "
                            "shortfall in the cfa split.", "orders", mine),
        "execution/Fees, USD": Source("Fees of the executions.", "fills", mine),
        "execution/Fill rate": Source("Executed of ordered shares.", "fills", mine),
        "groups": Source("The same orders, by what was known when they arrived.", "orders", mine),
        "distribution": Source("Shortfall of each order.", "orders", mine),
        "orders": Source("The order; its events tell how it went.", "orders", mine, key="client_order_id"),
        "order": Source("The order's row.", "orders", mine, key="client_order_id"),
        "benchmarks": Source("Executions of the order against prices of its session in the bars store.",
                             "fills", mine),
        "floors": Source("Cost floor and edge of each symbol stand in the rows of its decision.", "decisions",
                         mine),
        "markouts": Source("Executions; the prices after them are those of the bars store.", "fills", mine),
    }  # fmt: skip
