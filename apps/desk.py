"""Desk: may it trade, what is at risk, what went wrong, and the switch that stops it."""

import panel as pn

import workbench as wb

pn.extension("tabulator")
screen = wb.screen("desk")
who = wb.pages.visitor(screen)
state, money, used = wb.pages.card(), wb.pages.card(), wb.pages.card()
curve = pn.pane.HoloViews(sizing_mode="stretch_width", height=320)
positions, show_positions = wb.pages.table("Positions", empty="No shares are held.")
orders, show_orders = wb.pages.table("Orders of the last session", empty="No order was sent.")
denials, show_denials = wb.pages.table("Denied by our own controls", empty="Nothing was denied.")
breaks, show_breaks = wb.pages.table("Breaks of the last reconciliation", empty="None: the venue agrees.")
halts, show_halts = wb.pages.table("Halts beside the account's state", empty="None.")
agreements, show_agreements = wb.pages.table("Waits for a second person", empty="Nothing.")
pending, show_pending = wb.pages.approvals_card(screen.commands, person=who)
alerts, show_alerts = wb.pages.alerts_card(screen.commands, person=who)
runs, show_runs = wb.pages.table("Job runs", empty="No job has run yet: workbench jobs run trading_loop")


def redraw() -> None:
    """Bring every section up to the screen."""
    found, frames = screen.facts, screen.frames
    state.object = wb.pages.state_card(found)
    money.object = wb.pages.facts("Money at the last close", screen.money())
    used.object = wb.pages.bars("Limits in use", frames["limits"])
    curve.object = screen.desk.plots.equity(frames["equity"]) if len(frames["equity"]) else None
    for show, name in (
        (show_positions, "positions"),
        (show_orders, "last_orders"),
        (show_denials, "denials"),
        (show_breaks, "breaks"),
        (show_alerts, "alerts"),
        (show_pending, "pending"),
        (show_agreements, "agreements"),
        (show_halts, "halts"),
        (show_runs, "runs"),
    ):
        show(frames[name])


switch = wb.pages.halt_card(screen.commands, person=who)
sections = [
    wb.pages.beside(state, switch) if screen.commands.may_command(who) else state,
    pending,
    agreements,
    halts,
    wb.pages.beside(money, used),
    curve,
    positions,
    orders,
    denials,
    breaks,
    alerts,
    runs,
]
wb.pages.page("desk", screen, sections, redraw).servable()
