"""Pictures of the frames of `workbench.views`: interactive for notebooks and apps, static for records.

Plotting libraries are loaded when the first picture is drawn, never on import.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from workbench.plots.drawing import BLUE, GREY, RED, holoviews

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def notebook() -> None:
    """Make plots and tables render in this notebook without any network; call it in the first cell.

    The order matters: Panel has to put its scripts into the notebook *before* hvplot is imported,
    otherwise hvplot asks for them from a content network and every output stays blank offline. Outside of
    a notebook this only prepares the libraries. Calling it again does nothing new.

    Examples
    --------
    >>> import workbench as wb
    >>> wb.notebook()  # doctest: +SKIP
    """
    import panel as pn

    pn.extension("tabulator", inline=True)
    import hvplot.pandas  # noqa: F401  registers DataFrame.hvplot; only after the extension


def equity(frame: pd.DataFrame) -> Any:
    """Equity and invested value over the sessions, as a HoloViews overlay.

    Parameters
    ----------
    frame : DataFrame
        `Views.equity`.
    """
    hv = holoviews()
    dated = _dated(frame)
    hover = ["equity_usd", "drawdown_bps"]
    curve = hv.Curve(dated, "session", ["equity_usd", "drawdown_bps"], label="equity")
    invested = hv.Curve(dated, "session", "invested_usd", label="invested")
    dots = hv.Scatter(dated, "session", hover, label="equity")
    overlay = (
        invested.opts(color=GREY) * curve.opts(color=BLUE) * dots.opts(color=BLUE, size=5, tools=["hover"])
    )
    return overlay.opts(
        width=760,
        height=320,
        title="Equity",
        xlabel="session",
        ylabel="USD",
        legend_position="top_left",
        yformatter="%.0f",
    )


def decision_weights(frame: pd.DataFrame) -> Any:
    """Target weight of every symbol over the decisions, as a HoloViews heat map.

    Parameters
    ----------
    frame : DataFrame
        `Views.decisions`.
    """
    hv = holoviews()
    cells = frame.assign(at=frame["scheduled_at"].dt.strftime("%Y-%m-%d %H:%M"))
    values = ["weight", "reason", "forecast_bps", "change_shares"]
    extreme = float(cells["weight"].abs().max()) if len(cells) and cells["weight"].notna().any() else 1.0
    return hv.HeatMap(cells, ["at", "symbol"], values).opts(
        width=760, height=60 + 40 * max(1, cells["symbol"].nunique()), cmap="RdBu", symmetric=True,
        clim=(-extreme, extreme), colorbar=True, tools=["hover"], xrotation=60, xlabel="decision (UTC)",
        ylabel="", title="Target weights",
    )  # fmt: skip


def price_path(prices: pd.DataFrame, fills: pd.DataFrame, levels: pd.DataFrame | None = None) -> Any:
    """Daily bars of a symbol with own executions on them, as a HoloViews overlay.

    Parameters
    ----------
    prices : DataFrame
        at, open, high, low, close; one row a bar.
    fills : DataFrame
        `Views.fills` of that symbol; those outside the path are left out.
    levels : DataFrame, optional
        Prices to compare with, drawn as dashes: at, price_usd, benchmark, cost_bps.
    """
    hv = holoviews()
    prices = prices.assign(at=prices["at"].dt.tz_localize(None))
    fills = fills.assign(at=fills["filled_at"].dt.tz_localize(None))
    fills = fills[(fills["at"] >= prices["at"].min()) & (fills["at"] <= prices["at"].max())]
    drawn = hv.Segments(prices, ["at", "low", "at", "high"]).opts(color=GREY)
    drawn = drawn * hv.Curve(prices, "at", "close", label="close").opts(color=BLUE)
    for side, marker, colour in (("buy", "triangle", "#1a7f37"), ("sell", "inverted_triangle", RED)):
        points = fills[fills["side"] == side]
        drawn = drawn * hv.Scatter(
            points, "at", ["price_usd", "quantity_shares", "session"], label=side
        ).opts(color=colour, marker=marker, size=10, tools=["hover"])
    if levels is not None and "at" in levels:
        dashes = levels.assign(at=levels["at"].dt.tz_localize(None)).dropna(subset=["price_usd"])
        drawn = drawn * hv.Scatter(
            dashes, "at", ["price_usd", "benchmark", "cost_bps"], label="benchmarks"
        ).opts(color="#b07d00", marker="dash", size=18, tools=["hover"])
    return drawn.opts(
        width=760, height=340, xlabel="session", ylabel="USD", legend_position="top_left", yformatter="%.2f"
    )


def equity_figure(frame: pd.DataFrame) -> Figure:
    """A small static picture of equity, for executed notebooks that are kept as records.

    Parameters
    ----------
    frame : DataFrame
        `Views.equity`; may be empty.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 2.4), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.set_title("Equity, USD", fontsize=9, loc="left")
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    if not len(frame):
        axes.text(0.5, 0.5, "no closed session yet", ha="center", va="center", transform=axes.transAxes)
        axes.set_axis_off()
        return figure
    positions = range(len(frame))
    axes.plot(positions, frame["equity_usd"], color=BLUE, marker="o", markersize=3, linewidth=1.2)
    peak = frame["equity_usd"].cummax()
    axes.fill_between(positions, frame["equity_usd"], peak, color=RED, alpha=0.15, linewidth=0)
    step = max(1, len(frame) // 8)
    axes.set_xticks(list(positions)[::step], list(frame["session"])[::step], rotation=30, ha="right")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    return figure


def equity_picture(frame: pd.DataFrame) -> bytes:
    """`equity_figure` as PNG bytes; equal frames give equal bytes.

    Parameters
    ----------
    frame : DataFrame
        `Views.equity`; may be empty.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(equity_figure(frame)).print_png(  # type: ignore[no-untyped-call]
        buffer, metadata={"Software": None}
    )
    return buffer.getvalue()


def _dated(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its sessions as dates, so that the axis is a time axis."""
    import pandas as pd

    return frame.assign(session=pd.to_datetime(frame["session"], format="%Y-%m-%d"))
