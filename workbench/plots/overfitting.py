"""Pictures of the frames that `workbench.overfitting` gives: what the best of many backtests is worth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from workbench.plots.drawing import BLUE, GREY, RED, holoviews

if TYPE_CHECKING:
    import pandas as pd

_SIZE = {"width": 640, "height": 300}


def logit_histogram(combinations: pd.DataFrame, *, bins: int = 40) -> Any:
    """Logits of the winners' ranks out of sample; what lies at or left of 0 is overfitted.

    Parameters
    ----------
    combinations : DataFrame
        `BacktestOverfitting.combinations`.
    bins : int, default 40
    """
    import numpy as np

    hv = holoviews()
    counts, edges = np.histogram(combinations["logit"], bins=bins)
    bars = hv.Histogram((edges, counts), kdims="logit", vdims="halves")
    return (bars.opts(color=BLUE, line_color="white") * hv.VLine(0.0).opts(color=RED)).opts(
        **_SIZE, title="Rank of the winner out of sample, as a logit", xlabel="logit", ylabel="halves"
    )


def degradation(combinations: pd.DataFrame, *, slope: float, intercept: float) -> Any:
    """The winners' value out of sample against that in sample, with the fitted line.

    Parameters
    ----------
    combinations : DataFrame
        `BacktestOverfitting.combinations`.
    slope, intercept : float
        Of the same result.
    """
    hv = holoviews()
    shown = combinations.iloc[:: max(1, len(combinations) // 2_000)]
    dots = hv.Scatter(shown, "in_sample", ["out_of_sample", "selected"]).opts(
        color=BLUE, alpha=0.35, size=4, tools=["hover"]
    )
    line = hv.Slope(slope, intercept) if math.isfinite(slope) else hv.HLine(0.0)
    return (dots * line.opts(color=RED) * hv.HLine(0.0).opts(color=GREY, line_width=1)).opts(
        **_SIZE, title="Degradation", xlabel="in sample", ylabel="out of sample"
    )


def rank_curve(frame: pd.DataFrame) -> Any:
    """Share of halves whose winner comes no higher than each place; luck would be the diagonal.

    Parameters
    ----------
    frame : DataFrame
        `BacktestOverfitting.rank_curve`.
    """
    hv = holoviews()
    curve = hv.Curve(frame, "place", "share").opts(color=BLUE, interpolation="steps-post")
    chance = hv.Curve([(0.0, 0.0), (1.0, 1.0)]).opts(color=GREY, line_dash="dashed")
    return (curve * chance * hv.VLine(0.5).opts(color=RED, line_width=1)).opts(
        **_SIZE, title="Place of the winner out of sample", xlabel="place (0 worst, 1 best)", ylabel="share"
    )


def path_fan(returns: pd.DataFrame) -> Any:
    """Growth along every path of combinatorial cross-validation.

    Parameters
    ----------
    returns : DataFrame (rows, paths)
        From `workbench.overfitting.selection_paths`; a long one is thinned for the picture.
    """
    import pandas as pd

    hv = holoviews()
    growth = (1.0 + returns).cumprod().iloc[:: max(1, len(returns) // 500)]
    growth.index = pd.to_datetime(growth.index)
    curves = [hv.Curve(growth[path].rename("growth").rename_axis("session")) for path in growth]
    return hv.Overlay([curve.opts(color=BLUE, alpha=0.5) for curve in curves]).opts(
        **_SIZE, title=f"{len(curves)} paths out of sample", xlabel="session", ylabel="growth of 1",
        show_legend=False,
    )  # fmt: skip


def sensitivity_surface(surface: pd.DataFrame) -> Any:
    """Sharpe ratio over two settings: a plateau is one colour, a peak is one cell.

    Parameters
    ----------
    surface : DataFrame
        One row a value of the first setting, one column a value of the second.
    """
    hv = holoviews()
    named = [str(axis.name) if axis.name is not None else "" for axis in (surface.index, surface.columns)]
    rows, columns = named[0] or "first", named[1] or "second"
    cells = [
        (str(column), str(row), float(surface.loc[row, column])) for row in surface.index
        for column in surface.columns
    ]  # fmt: skip
    return hv.HeatMap(cells, [columns, rows], "Sharpe").opts(
        **_SIZE,
        colorbar=True,
        cmap="RdBu",
        symmetric=True,
        tools=["hover"],
        title="Sharpe ratio of neighbours",
    )


def deflation(frame: pd.DataFrame, *, limit: float = 0.95) -> Any:
    """Deflated Sharpe ratio against the number of trials.

    Parameters
    ----------
    frame : DataFrame
        From `workbench.overfitting.deflation_curve`.
    limit : float, default 0.95
        Of the gate.
    """
    hv = holoviews()
    curve = hv.Curve(frame, "n_trials", ["deflated", "threshold"]).opts(color=BLUE)
    dots = hv.Scatter(frame, "n_trials", ["deflated", "threshold"]).opts(color=BLUE, size=5, tools=["hover"])
    return (curve * dots * hv.HLine(limit).opts(color=RED)).opts(
        **_SIZE, logx=True, ylim=(0.0, 1.02), title="Deflated Sharpe ratio", xlabel="trials", ylabel=""
    )
