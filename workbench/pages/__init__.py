"""Panel building blocks of the dashboards: one frame with one navigation, cards, tables, bars.

Everything is served by this process: no font, script or picture comes from another place.
"""

from __future__ import annotations

from workbench.pages.cards import alerts_card, approvals_card, halt_card
from workbench.pages.drawer import ask
from workbench.pages.frame import NAMES, page, visitor
from workbench.pages.parts import (
    VERDICTS,
    bars,
    beside,
    card,
    exchange_time,
    facts,
    notes,
    picture,
    state_card,
    unknown_order,
    verdict,
    work_line,
)
from workbench.pages.release_card import release_card
from workbench.pages.report import execution_report, save_buttons
from workbench.pages.tables import table

__all__ = [
    "NAMES",
    "VERDICTS",
    "alerts_card",
    "approvals_card",
    "ask",
    "bars",
    "beside",
    "card",
    "exchange_time",
    "execution_report",
    "facts",
    "halt_card",
    "notes",
    "page",
    "picture",
    "release_card",
    "save_buttons",
    "state_card",
    "table",
    "unknown_order",
    "verdict",
    "visitor",
    "work_line",
]
