"""Alpaca as a broker: requests made safe, answers read strictly, every outcome a named value."""

from workbench.adapters.alpaca_broker.broker import AlpacaBroker
from workbench.adapters.alpaca_broker.budget import RateBudget
from workbench.adapters.alpaca_broker.connect import alpaca_broker, connect_alpaca
from workbench.adapters.alpaca_broker.open_orders import AlpacaOpenOrders
from workbench.adapters.alpaca_broker.transport import AlpacaTransport, Answer

__all__ = [
    "AlpacaBroker",
    "AlpacaOpenOrders",
    "AlpacaTransport",
    "Answer",
    "RateBudget",
    "alpaca_broker",
    "connect_alpaca",
]
