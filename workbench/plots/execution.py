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


def cost_by_group(frame: pd.DataFrame, *, title: str) -> Any:
    """Shortfall of each group in bps, with its interval where there is one.

    Parameters
    ----------
    frame : DataFrame
        First column the group; total_bps, lower_bps, upper_bps, orders.
    """
    hv = holoviews()
    group = str(frame.columns[0])
    shown = frame.assign(**{group: frame[group].astype(str)})
    bars = hv.Bars(shown, group, ["total_bps", "orders"]).opts(color=BLUE, alpha=0.75, tools=["hover"])
    known = shown.dropna(subset=["lower_bps", "upper_bps"])
    below, above = known["total_bps"] - known["lower_bps"], known["upper_bps"] - known["total_bps"]
    doubt = hv.ErrorBars(known.assign(below=below, above=above), group, ["total_bps", "below", "above"]).opts(
        color=GREY
    )
    return (bars * doubt).opts(**_SIZE, title=title, xlabel="", ylabel="shortfall, bps", xrotation=20)


def cost_distribution(orders: pd.DataFrame, quantiles: pd.DataFrame) -> Any:
    """How the orders' shortfall is distributed, and where its quantiles lie with their intervals.

    Parameters
    ----------
    orders : DataFrame
        total_bps of each order; values beyond the outer quantiles' intervals stand in the first and last bar.
    quantiles : DataFrame
        quantile, shortfall_bps, lower_bps, upper_bps.
    """
    import numpy as np

    hv = holoviews()
    values = orders["total_bps"].dropna().to_numpy()
    edges = np.histogram_bin_edges(values, bins=min(40, max(8, len(values) // 5)))
    counts, edges = np.histogram(values, edges)
    drawn = hv.Histogram((edges, counts), kdims="shortfall", vdims="orders").opts(
        color=BLUE, alpha=0.35, line_color=None, tools=["hover"]
    )
    top = max(float(counts.max(initial=1)), 1.0)
    at = [(bps, top * (1.06 + 0.06 * row)) for row, bps in enumerate(quantiles["shortfall_bps"])]
    spans = [
        (low if low == low else bps, y, high if high == high else bps, y)
        for (bps, y), low, high in zip(at, quantiles["lower_bps"], quantiles["upper_bps"], strict=True)
    ]
    named = [(bps, y, name) for (bps, y), name in zip(at, quantiles["quantile"], strict=True)]
    lines = hv.Segments(spans, ["x0", "y0", "x1", "y1"]).opts(color=GREY, line_width=2)
    dots = hv.Scatter(named, "shortfall", ["y", "quantile"]).opts(color=RED, size=7, tools=["hover"])
    return (drawn * lines * dots).opts(
        **_SIZE, title="Shortfall of the orders, and its quantiles",
        xlabel="shortfall, bps", ylabel="orders",
    )  # fmt: skip


def cost_floors(frame: pd.DataFrame) -> Any:
    """The cost floor of each decision, lowest to highest symbol, with the largest edge beside it.

    Parameters
    ----------
    frame : DataFrame
        at, floor_low_bps, floor_bps, floor_high_bps, edge_bps, traded.
    """
    hv = holoviews()
    dated = frame.assign(at=frame["at"].dt.tz_localize(None))
    band = hv.Area(dated, "at", ["floor_low_bps", "floor_high_bps"], label="floors of all symbols")
    middle = hv.Curve(dated, "at", ["floor_bps", "traded"], label="median floor")
    edge = hv.Scatter(dated, "at", ["edge_bps", "traded"], label="largest edge")
    return (
        band.opts(color=GREY, alpha=0.25, line_alpha=0)
        * middle.opts(color=GREY, tools=["hover"])
        * edge.opts(color=BLUE, size=6, tools=["hover"])
    ).opts(
        **_SIZE,
        title="What an edge has to exceed",
        xlabel="decision",
        ylabel="bps",
        legend_position="top_left",
    )


def close_markouts(frame: pd.DataFrame) -> Any:
    """What prices did in the sessions after the fills, by side; above 0 they went our way.

    Parameters
    ----------
    frame : DataFrame
        side, sessions, markout_bps, fills.
    """
    hv = holoviews()
    colours = {"buy": _GREEN, "sell": RED, "all": BLUE}
    drawn = hv.HLine(0).opts(color=GREY, line_width=1)
    for side, part in frame.groupby("side"):
        line = hv.Curve(part, "sessions", ["markout_bps", "fills"], label=str(side))
        drawn = drawn * line.opts(color=colours[str(side)], tools=["hover"])
    return drawn.opts(
        **_SIZE, title="Prices after the fills", xlabel="sessions after the fill",
        ylabel="bps, value-weighted", legend_position="top_left", xticks=[0, 1, 2, 5, 10],
    )  # fmt: skip


def execution_picture(steps: pd.DataFrame, orders: pd.DataFrame) -> bytes:
    """The parts of the shortfall and its distribution as one static PNG, for files without a server.

    Parameters
    ----------
    steps : DataFrame
        step, bps, begin, end.
    orders : DataFrame
        total_bps of each order.
    """
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 3.2), dpi=90, layout="constrained")
    left, right = figure.subplots(1, 2)
    at = list(range(len(steps)))
    colours = [GREY if step == "total" else RED if bps > 0 else _GREEN
               for step, bps in zip(steps["step"], steps["bps"], strict=True)]  # fmt: skip
    left.bar(at, steps["end"] - steps["begin"], bottom=steps["begin"], color=colours)
    left.set_xticks(at, list(steps["step"]), fontsize=8)
    left.set_title("Where the shortfall arose, bps", fontsize=9, loc="left")
    right.hist(orders["total_bps"].dropna(), bins=30, color=BLUE, alpha=0.6)
    right.set_title("Shortfall of the orders, bps", fontsize=9, loc="left")
    for axes in (left, right):
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(  # type: ignore[no-untyped-call]
        buffer, metadata={"Software": None}
    )
    return buffer.getvalue()
