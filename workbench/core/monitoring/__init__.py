"""Monitoring: what is measured after a session, how loud each measure is, and what follows from it."""

from workbench.core.monitoring.measures import (
    Measure,
    consequences,
    measure,
    newly_blocked,
    worst,
)
from workbench.core.monitoring.outcomes import Outcome, block_score, overdue_sessions
from workbench.core.monitoring.rules import RULES, Level, Rule, rule_of

__all__ = [
    "RULES",
    "Level",
    "Measure",
    "Outcome",
    "Rule",
    "block_score",
    "consequences",
    "measure",
    "newly_blocked",
    "overdue_sessions",
    "rule_of",
    "worst",
]
