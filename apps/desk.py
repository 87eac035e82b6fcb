"""Desk: may it trade, what is at risk, what went wrong, and the switch that stops it."""

import panel as pn

import workbench as wb

pn.extension("tabulator")
screen = wb.screen("desk")
who = wb.pages.visitor(screen)
state, money, drive, used = wb.pages.card(), wb.pages.card(), wb.pages.card(), wb.pages.card()
curve = wb.pages.picture()
positions, show_positions = wb.pages.table(
    "Positions, from the ledger", empty="No shares are held.", why="positions", key="symbol"
)
orders, show_orders = wb.pages.table(
    "Orders of the last session", empty="No order was sent.", why="orders", key="client_order_id"
)
denials, show_denials = wb.pages.table(
    "Denied by our own controls", empty="Nothing was denied.", why="denials", key="client_order_id"
)
breaks, show_breaks = wb.pages.table(
    "Breaks of the last reconciliation", empty="None: the venue agrees.", why="breaks"
)
halts, show_halts = wb.pages.table("Halts beside the account's state", empty="None.", why="halts")
agreements, show_agreements = wb.pages.table("Waits for a second person", empty="Nothing.", why="agreements")
pending, show_pending = wb.pages.approvals_card(screen.commands, person=who)
alerts, show_alerts = wb.pages.alerts_card(screen.commands, person=who)
timings, show_timings = wb.pages.table(
    "How long a session takes", empty="No session has run yet.", why="timings"
)
runs, show_runs = wb.pages.table(
    "Job runs",
    empty="No job has run yet: workbench jobs run trading_loop",
    why="runs",
    key="run_id",
    links={"notebook": "notebook"},
    colours={"failed": "bad", "crashed": "bad", "done": "good"},
)


def redraw() -> None:
    """Bring every section up to the screen."""
    found, frames = screen.facts, screen.frames
    state.object = wb.pages.state_card(found)
    money.object = wb.pages.facts("Money at the last close", screen.money(), why="money")
    drive.object = wb.pages.facts("Who drives", screen.drive(), why="drive")
    advice = "" if found["added_up"] else "Positions and the use of limits are being added up."
    used.object = wb.pages.work_line(screen.work, advice)
    positions.visible = found["added_up"]  # no table says that nothing is held before that is known
    if found["added_up"]:
        used.object += wb.pages.bars("Limits in use", frames["limits"], why="limits")
    curve.visible = bool(len(frames["equity"]))
    if curve.visible:
        curve.draw(lambda: screen.desk.plots.equity(frames["equity"]), of=frames["equity"])
    for show, name in (
        (show_positions, "positions"),
        (show_orders, "last_orders"),
        (show_denials, "denials"),
        (show_breaks, "breaks"),
        (show_alerts, "alerts"),
        (show_pending, "pending"),
        (show_agreements, "agreements"),
        (show_halts, "halts"),
        (show_timings, "timings"),
        (show_runs, "runs"),
    ):
        show(frames[name])


switch = wb.pages.halt_card(screen.commands, person=who)
first = pn.Column(state, drive, sizing_mode="stretch_width")
sections = [
    wb.pages.beside(first, switch) if screen.commands.may_command(who) else first,
    pending,
    wb.pages.beside(agreements, halts),
    breaks,
    alerts,
    money,
    used,
    curve,
    positions,
    orders,
    denials,
    runs,
    timings,
]
wb.pages.page("desk", screen, sections, redraw).servable()
