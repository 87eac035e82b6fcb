"""Contracts that strategies, features and brokers of other packages have to meet, to be run by pytest.

``pytest --pyargs workbench.testing`` judges what every installed package offers by the entry points
`workbench.features`, `workbench.strategies` and `workbench.brokers`, and what this package itself has;
``-k NAME`` takes those of that name.

Examples
--------
>>> from workbench.extending import Feature
>>> from workbench.testing import troubles
>>> troubles(Feature("price_now", 1, lambda window: window.close[-1]))
('changes_with_a_split: prices / 4 and volumes x 4 give another value',)
"""

from workbench.testing.feature_checks import FEATURE_CHECKS, troubles
from workbench.testing.strategy_checks import STRATEGY_CHECKS, strategy_troubles

__all__ = ["FEATURE_CHECKS", "STRATEGY_CHECKS", "strategy_troubles", "troubles"]
