"""Pictures of execution quality, from the tables of `workbench.tca` and `workbench.costs`.

Plotting libraries are loaded when the first picture is drawn, never on import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.plots.drawing import BLUE, GREY, RED, holoviews

if TYPE_CHECKING:
    import pandas as pd

_GREEN = "#2f7d4f"
_SIZE = {"width": 760, "height": 320}


def shortfall_waterfall(frame: pd.DataFrame, *, title: str = "Shortfall of one order") -> Any:
    """The parts of a shortfall as steps to its total.

    Parameters
    ----------
    frame : DataFrame
        `workbench.tca.waterfall`.
    title : str, default "Shortfall of one order"
    """
    hv = holoviews()
    at = range(len(frame))
    colours = [GREY if step == "total" else RED if bps > 0 else _GREEN
               for step, bps in zip(frame["step"], frame["bps"], strict=True)]  # fmt: skip
    boxes = [
        (x - 0.4, min(begin, end), x + 0.4, max(begin, end), step, bps, colour)
        for x, begin, end, step, bps, colour in zip(
            at, frame["begin"], frame["end"], frame["step"], frame["bps"], colours, strict=True
        )
    ]
    steps = hv.Rectangles(boxes, ["left", "low", "right", "high"], ["step", "bps", "colour"])
    return steps.opts(
        **_SIZE, color="colour", line_color=None, tools=["hover"], xlabel="",
        ylabel="bps of the decision value",
        xticks=list(zip(at, frame["step"], strict=True)), title=title, xrotation=25,
    )  # fmt: skip


def cost_curve(frame: pd.DataFrame) -> Any:
    """Expected cost over sizes with its interval, participation on a logarithmic axis.

    Parameters
    ----------
    frame : DataFrame
        `workbench.costs.cost_curve`; sizes that the model does not know are left out.
    """
    hv = holoviews()
    known = frame.dropna()
    band = hv.Area(known, "participation", ["lower_bps", "upper_bps"], label="interval")
    line = hv.Curve(known, "participation", ["mean_bps", "shares"], label="mean")
    return (band.opts(color=BLUE, alpha=0.2, line_alpha=0) * line.opts(color=BLUE, tools=["hover"])).opts(
        **_SIZE, logx=True, title="Expected cost by size", xlabel="share of the daily volume", ylabel="bps",
        legend_position="top_left",
    )  # fmt: skip


def predicted_and_realised(frame: pd.DataFrame) -> Any:
    """Realised against predicted cost by bucket, with the line on which a right model lies.

    Parameters
    ----------
    frame : DataFrame
        `workbench.costs.predicted_and_realised`.
    """
    hv = holoviews()
    low, high = float(frame["predicted_bps"].min()), float(frame["predicted_bps"].max())
    right = hv.Curve([(low, low), (high, high)], "predicted_bps", "realised_bps", label="right")
    bars = hv.ErrorBars(frame, "predicted_bps", ["realised_bps", "error_bps"])
    dots = hv.Scatter(frame, "predicted_bps", ["realised_bps", "records"], label="realised")
    dots = dots.opts(color=BLUE, size=7, tools=["hover"])
    return (right.opts(color=GREY) * bars.opts(color=BLUE) * dots).opts(
        **_SIZE, title="Predicted and realised cost", xlabel="predicted, bps", ylabel="realised, bps",
        legend_position="top_left", padding=0.1,
    )  # fmt: skip


def markout_fan(frame: pd.DataFrame) -> Any:
    """Markouts of each group over the horizons, time on a logarithmic axis; above 0 the price went our way.

    Parameters
    ----------
    frame : DataFrame
        `workbench.tca.markout_fan`.
    """
    hv = holoviews()
    group = frame.columns[0]
    known = frame.dropna(subset=["markout_bps"])
    curves = {
        str(name): hv.Curve(part, "seconds", ["markout_bps", "horizon"])
        for name, part in known.groupby(group)
    }
    fan = hv.NdOverlay(curves, kdims=group) if curves else hv.Curve([], "seconds", "markout_bps")
    return (fan * hv.HLine(0).opts(color=GREY, line_width=1)).opts(
        **_SIZE, logx=True, title="Markouts", xlabel="seconds after the fill", ylabel="bps of the price"
    )


def intraday_profile(frame: pd.DataFrame) -> Any:
    """Shortfall by hour of arrival in bps, with the value that was decided on in that hour.

    Parameters
    ----------
    frame : DataFrame
        `workbench.tca.report(..., by="hour").frame`.
    """
    hv = holoviews()
    dated = frame.assign(hour=frame["hour"].astype(str))
    bars = hv.Bars(dated, "hour", ["total_bps", "effective_bps", "notional", "orders"])
    return bars.opts(
        **_SIZE,
        color=BLUE,
        tools=["hover"],
        title="Shortfall by hour of arrival",
        xlabel="hour",
        ylabel="bps",
    )
