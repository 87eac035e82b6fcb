"""An offline paper exchange: `core.venue` behind sockets, in Alpaca's protocol, with faults on demand."""

from workbench.adapters.venue_server.market import MarketSource, QuoteMove, read_script
from workbench.adapters.venue_server.options import VenueOptions
from workbench.adapters.venue_server.server import VenueServer

__all__ = ["MarketSource", "QuoteMove", "VenueOptions", "VenueServer", "read_script"]
