"""Pictures of what `workbench.drift` compares.

Plotting libraries are loaded when the first picture is drawn, never on import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.plots.drawing import BLUE, GREY, holoviews

if TYPE_CHECKING:
    import pandas as pd

_SIZE = {"width": 760, "height": 320}


def distributions(reference: pd.Series[Any], latest: pd.Series[Any], *, bins: int = 40) -> Any:
    """Distributions of one feature then and now, over the same bins.

    Parameters
    ----------
    reference, latest : Series
        Missing values are left out; a side without a value is not drawn.
    bins : int, default 40
    """
    hv = holoviews()
    name = "feature" if reference.name is None else str(reference.name)
    sides = {"reference": reference.dropna().to_numpy(), "latest": latest.dropna().to_numpy()}
    both = np.concatenate(list(sides.values()))
    edges = np.histogram_bin_edges(both, bins=bins) if len(both) else np.array([0.0, 1.0])
    drawn = []
    for (label, values), colour in zip(sides.items(), (GREY, BLUE), strict=True):
        share = np.histogram(values, bins=edges)[0] / max(len(values), 1)
        bars = hv.Histogram((edges, share), kdims=name, vdims="share", label=label)
        drawn.append(bars.opts(color=colour, alpha=0.5, line_alpha=0.0, tools=["hover"]))
    return hv.Overlay(drawn).opts(
        **_SIZE, title=f"{name}: then and now", xlabel=name, ylabel="share of sessions",
        legend_position="top_left",
    )  # fmt: skip
