"""Drift: what was measured of each session and what that stopped; whether features have changed, and how."""

import panel as pn

import workbench as wb

pn.extension("tabulator")
screen = wb.screen("drift")
symbol = pn.widgets.Select(label="Symbol", options=[])
before = pn.widgets.IntInput(label="Reference, sessions", value=1000, start=100, end=5000, step=250)
latest = pn.widgets.IntInput(label="Latest window, sessions", value=250, start=20, end=2500, step=50)
alpha = pn.widgets.Select(label="False alarms allowed", options={"1 %": 0.01, "5 %": 0.05}, value=0.05)
press = pn.widgets.Button(label="Compare", button_type="primary", width=160)
feature = pn.widgets.Select(label="Feature: then and now", options=[], width=240)
progress, verdict, remarks, looked = wb.pages.card(), wb.pages.card(), wb.pages.card(), wb.pages.card()
pictured = wb.pages.picture()
judged, show_judged = wb.pages.table(
    "Feature by feature", empty="Nothing compared yet.", colours=wb.pages.VERDICTS, why="compared"
)
fresh, show_fresh = wb.pages.table(
    "Freshness of the data", empty="The universe is empty: name symbols in workbench.toml.", why="freshness"
)
LEVELS = {"note": "warn", "warn": "warn", "block": "bad"}
alarmed, show_alarmed = wb.pages.table(
    "Alarms, newest first",
    empty="No measure that was taken was beyond its bound.",
    colours=LEVELS,
    why="alarms",
    key="session",
)
stopped, show_stopped = wb.pages.table(
    "What monitoring has stopped", empty="Nothing: no measure was beyond the bound of a block.", why="stopped"
)
odd, show_odd = wb.pages.table(
    "Data quality, newest first",
    empty="Nothing odd was measured.",
    colours=LEVELS,
    why="quality",
    key="session",
)
streams, levels = wb.pages.picture(), wb.pages.picture()
shown: dict = {"found": None, "freshness": None, "measures": None}


def asked() -> tuple:
    """The question that the widgets put."""
    return (symbol.value, before.value, latest.value, alpha.value)


def ask(*_: object) -> None:
    """Begin the comparison."""
    screen.ask(asked())
    draw()


def draw(*_: object) -> None:
    """Show the comparison when there is one, else what to do."""
    found = screen.answer(asked()) if symbol.value else None
    progress.object = wb.pages.work_line(screen.work, screen.advice(found))
    verdict.visible = judged.visible = pictured.visible = feature.visible = found is not None
    if found is None or found is shown["found"]:
        return
    shown["found"] = found
    verdict.object = wb.pages.verdict(found.status, found.facts, whole="compared")
    remarks.object = wb.pages.notes(found.notes)
    show_judged(found.table)
    feature.options = list(found.reference.columns)
    draw_feature()


def draw_feature(*_: object) -> None:
    """Show the chosen feature then and now."""
    if shown["found"] is not None and feature.value:
        then, now = (frame[feature.value] for frame in (shown["found"].reference, shown["found"].latest))
        pictured.draw(lambda: screen.desk.plots.distributions(then, now))


def redraw() -> None:
    """Offer the symbols; show what has been computed since."""
    press.disabled = bool(screen.work.progress) or not screen.symbols
    if symbol.options != screen.symbols:
        symbol.options = screen.symbols
        symbol.value = symbol.value or (screen.symbols[0] if screen.symbols else None)
    if screen.freshness is not shown["freshness"]:
        shown["freshness"] = screen.freshness
        show_fresh(screen.freshness)
    if screen.measures is not shown["measures"]:
        draw_measures()
    draw()


def draw_measures() -> None:
    """Show what was measured of each session; without any there is no picture."""
    shown["measures"] = screen.measures
    looked.object = wb.pages.facts("What monitoring has measured", screen.monitoring(), why="monitoring")
    show_alarmed(screen.alarms)
    show_stopped(screen.taken)
    show_odd(screen.quality)
    streams.visible = levels.visible = screen.measures is not None and len(screen.measures) > 0
    if streams.visible:
        streams.draw(lambda: screen.desk.plots.streams_by_day(screen.measures))
        levels.draw(lambda: screen.desk.plots.levels_by_day(screen.measures))


press.on_click(ask)
feature.param.watch(draw_feature, "value")
for widget in (symbol, before, latest, alpha):
    widget.param.watch(draw, "value")
settings = wb.pages.beside(symbol, before, latest, alpha, width_px=150)
measured = [looked, streams, alarmed, stopped, levels, odd, fresh]
sections = [*measured, settings, press, progress, verdict, judged, feature, pictured, remarks]
wb.pages.page("drift", screen, sections, redraw).servable()
