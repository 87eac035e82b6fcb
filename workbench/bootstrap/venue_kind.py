"""What can be told of a venue without loading any: whether orders leave the process, and its opening cash."""

from __future__ import annotations

from workbench.config import Settings
from workbench.core.types import Mode

CASH_USD = 100_000  #: opening cash of a served venue that no desk and nobody else gave another


def uses_alpaca(settings: Settings) -> bool:
    """Whether orders leave this process."""
    return settings.venue.broker == "alpaca" or settings.mode is not Mode.REPLAY
