"""Transaction cost analysis: what a decision cost on its way to the books."""

from workbench.core.tca.benchmarks import Benchmarks, benchmarks
from workbench.core.tca.cleaning import Cleaned, clean_quotes, clean_trades
from workbench.core.tca.identity import LedgerIdentity, ledger_identity
from workbench.core.tca.shortfall import PARTS, SPLITS, implementation_shortfall
from workbench.core.tca.spreads import markouts, spreads
from workbench.core.tca.summary import TcaReport
from workbench.core.tca.tables import markout_fan, waterfall, worst_orders

__all__ = [
    "PARTS",
    "SPLITS",
    "Benchmarks",
    "Cleaned",
    "LedgerIdentity",
    "TcaReport",
    "benchmarks",
    "clean_quotes",
    "clean_trades",
    "implementation_shortfall",
    "ledger_identity",
    "markout_fan",
    "markouts",
    "spreads",
    "waterfall",
    "worst_orders",
]
