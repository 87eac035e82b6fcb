"""The features, one file a family. A new file is imported here; a test finds one that is not."""

from __future__ import annotations

from workbench.core.features.families import (
    cross_section,
    momentum,
    reversal,
    shape,
    volatility,
    volume,
)

__all__ = ["cross_section", "momentum", "reversal", "shape", "volatility", "volume"]
