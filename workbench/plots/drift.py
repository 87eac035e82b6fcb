"""Pictures of what `workbench.drift` compares.

Plotting libraries are loaded when the first picture is drawn, never on import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.plots.drawing import BLUE, GREY, RED, holoviews

if TYPE_CHECKING:
    import pandas as pd

_STREAM = "stream."
_LEVELS = ("ok", "unknown", "note", "warn", "block")
_LEVEL_COLOURS = ["#d7ead9", "#e6e8eb", "#f5e9b8", "#f0b35f", RED]
_SIZE = {"width": 760, "height": 320}


def streams_by_day(measures: pd.DataFrame) -> Any:
    """Heat map of features and forecasts by session: each value as a normal score of its reference.

    Parameters
    ----------
    measures : DataFrame
        As `desk.measures()` gives them; only streams are drawn. Days on which a detector alarmed carry a
        ring.
    """
    hv = holoviews()
    streams = measures[measures["measure"].str.startswith(_STREAM)]
    named = streams.assign(stream=streams["measure"].str.removeprefix(_STREAM))
    known = named[named["value"].notna()].astype({"session": object, "stream": object, "level": object})
    heat = hv.HeatMap(known, kdims=["session", "stream"], vdims=["value", "level"])
    alarmed = known[known["level"] == "warn"]
    rings = hv.Points(alarmed, kdims=["session", "stream"]).opts(
        marker="circle", size=10, fill_alpha=0.0, color="black"
    )
    shown = heat.opts(
        **_SIZE, cmap="RdBu_r", clim=(-3.0, 3.0), colorbar=True, tools=["hover"], xrotation=60,
        title="Features and forecasts by session, in normal scores of the training window", xlabel="",
        ylabel="",
    )  # fmt: skip
    return shown * rings


def levels_by_day(measures: pd.DataFrame) -> Any:
    """Heat map of every other measure by session: 0 ok, 1 unknown, 2 note, 3 warn, 4 block.

    Parameters
    ----------
    measures : DataFrame
        As `desk.measures()` gives them.
    """
    hv = holoviews()
    others = measures[~measures["measure"].str.startswith(_STREAM)]
    ranked = others.assign(rank=others["level"].map({name: at for at, name in enumerate(_LEVELS)}))
    texts = ["session", "measure", "level", "evidence"]
    ranked[texts] = ranked[texts].astype(
        object
    )  # HoloViews reshapes columns, which Arrow's texts do not bear
    heat = hv.HeatMap(ranked, kdims=["session", "measure"], vdims=["rank", "value", "level", "evidence"])
    return heat.opts(
        width=760, height=560, cmap=_LEVEL_COLOURS, clim=(-0.5, 4.5), colorbar=False, tools=["hover"],
        xrotation=60, title="Measures by session", xlabel="", ylabel="",
    )  # fmt: skip


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
