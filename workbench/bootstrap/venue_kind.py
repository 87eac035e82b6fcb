"""Whether a desk's orders leave its process; told without loading any venue."""

from __future__ import annotations

from workbench.config import Settings
from workbench.core.types import Mode


def uses_alpaca(settings: Settings) -> bool:
    """Whether orders leave this process."""
    return settings.venue.broker == "alpaca" or settings.mode is not Mode.REPLAY
