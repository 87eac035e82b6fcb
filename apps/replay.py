"""Replay: one past session, moment by moment: what was decided and why, what was sent, what was held."""

import panel as pn

import workbench as wb

pn.extension("tabulator")
screen = wb.screen("replay")
session = pn.widgets.Select(label="Session", options=[])
symbol = pn.widgets.Select(label="Symbol", options=[])
moment = pn.widgets.IntSlider(label="Moment", start=0, end=1, value=0, sizing_mode="stretch_width")
now = wb.pages.card()
path = wb.pages.picture(340)
decisions, show_decisions = wb.pages.table(
    "Decisions, with the reason for each",
    empty="Nothing decided yet.",
    choose=lambda row: wb.pages.ask(f"decisions/{session.value}"),
    why="decisions",
)
events, show_events = wb.pages.table(
    "What has happened so far",
    empty="Nothing has happened yet.",
    choose=lambda row: ask_event(row),
    why="events",
)
holdings, show_holdings = wb.pages.table(
    "Held at this moment",
    empty="Nothing is held.",
    choose=lambda row: wb.pages.ask(f"held/{session.value}/{chosen['held']['holding'].iloc[row]}"),
    why="held",
)
state, adding = wb.pages.card(), wb.pages.card()
setting = pn.widgets.Select(label="Setting", options=list(screen.SETTINGS))
value = pn.widgets.TextInput(label="Another value", placeholder="a number")
suppose = pn.widgets.Button(label="What would have happened?")
supposed = wb.pages.card()
progress, same = wb.pages.card(), wb.pages.card()
again = pn.widgets.Button(label="Trade it again and compare")
strayed, show_strayed = wb.pages.table(
    "Where the record and its repetition differ", empty="Nowhere, or nothing was asked yet.", why="again"
)
other = pn.widgets.Select(label="Beside session", options=[])
two = wb.pages.card()
diff, show_diff = wb.pages.table(
    "Decisions of both sessions", empty="Choose another session.", why="decisions"
)
differing, show_differing = wb.pages.table(
    "Orders that would have been others, hypothetical",
    empty="No order differs, or nothing was asked yet.",
    why="supposed",
)
chosen: dict = {}


def choose_session(*_: object) -> None:
    """Read a session and go to its end."""
    if session.value is None:
        return
    chosen["timeline"] = screen.timeline(session.value)
    chosen["decisions"] = screen.desk.views.decisions(session.value)
    chosen["session"] = session.value
    chosen.pop("states", None)
    symbols = sorted(chosen["decisions"]["symbol"].unique())
    last = max(len(chosen["timeline"]) - 1, 1)
    symbol.param.update(options=symbols, value=symbol.value if symbol.value in symbols else symbols[0])
    moment.param.update(end=last, value=last)
    draw_moment()
    draw_path()


def draw_moment(*_: object) -> None:
    """Show the session up to the chosen moment."""
    sofar = chosen["timeline"].iloc[: moment.value + 1]
    event = sofar.iloc[-1]
    now.object = wb.pages.facts(
        "This moment",
        {
            "Time": wb.pages.exchange_time(event["at"]),
            "What": event["what"],
            "Symbol": event["symbol"] or "all",
            "Details": event["text"],
            "Journal event": int(event["seq"]),
        },
        why=question(event),
    )
    chosen["events"], chosen["seq"] = sofar.iloc[::-1], int(event["seq"])
    show_events(chosen["events"])
    draw_held()
    pn.state.onload(draw_state)  # the states of a run are folded when the reader has the words
    decided = chosen["decisions"]["scheduled_at"] <= event["at"]
    show_decisions(chosen["decisions"][decided])


def draw_held() -> None:
    """Show what was held at the moment, as soon as it is added up."""
    found = screen.holdings_soon(chosen["seq"]) if "seq" in chosen else None
    holdings.visible = found is not None
    adding.object = "" if found is not None else wb.pages.work_line(screen.sums, "They are being added up.")
    if found is not None:
        chosen["held"] = found
        show_holdings(found)


def draw_state() -> None:
    """Show the account just after the moment."""
    if "states" not in chosen:
        chosen["states"] = screen.states(chosen["session"])
    account = screen.facts(chosen["states"], chosen["seq"])
    state.object = wb.pages.facts("The account just after it", account, why=f"account/{chosen['session']}")


def question(event) -> str:
    """What to ask about an event of the session."""
    return f"events/{session.value}/{event['what']}-{event['seq']}"


def ask_event(row: int) -> None:
    """Open the drawer with the rows behind an event."""
    wb.pages.ask(question(chosen["events"].iloc[row]))


def draw_path(*_: object) -> None:
    """Show the prices that were known, with our own fills on them."""
    if session.value is not None and symbol.value is not None:
        asked = (session.value, symbol.value)
        path.draw(lambda: screen.desk.plots.price_path(screen.prices(*asked), screen.fills(*asked)))


def ask(*_: object) -> None:
    """Trade the session again under the other value, beside the record."""
    if session.value is not None and value.value:
        chosen["asked"] = (session.value, setting.value, value.value)
        screen.ask(*chosen["asked"])
        draw_answers()


def ask_again(*_: object) -> None:
    """Trade the session again as it was."""
    if session.value is not None:
        screen.ask(session.value)
        draw_answers()


def draw_answers() -> None:
    """Show what has been computed of the chosen session, or what is being done."""
    progress.object = wb.pages.work_line(screen.work, "")
    repeated = screen.work.answer((session.value,))
    same.object = wb.pages.facts("Traded again from its record", repeated[0]) if repeated else ""
    if repeated:
        show_strayed(repeated[1])
    asked = chosen.get("asked", ())
    found = screen.work.answer(asked) if asked[:1] == (session.value,) else None
    if found is None:
        supposed.object = ""
    else:
        facts, orders = found
        supposed.object = wb.pages.facts(
            "Hypothetical: nothing of this happened", facts, whole=f"supposed/{session.value}"
        )
        show_differing(orders)


def draw_beside(*_: object) -> None:
    """Lay the decisions of another session beside these."""
    if session.value is not None and other.value:
        facts, frame = screen.beside(session.value, other.value)
        two.object = wb.pages.facts("Two sessions", facts)
        show_diff(frame)


def redraw() -> None:
    """Offer the closed sessions; keep the chosen one."""
    kept = session.value if session.value in screen.sessions else None
    session.options = screen.sessions
    session.value = kept or (screen.sessions[0] if screen.sessions else None)
    other.options = {"none": "", **{one: one for one in screen.sessions}}
    if chosen.get("session") != session.value:  # a new choice has been read already
        choose_session()
    draw_held()
    draw_answers()


for widget in (session, other):
    widget.param.watch(draw_beside, "value")
session.param.watch(choose_session, "value")
moment.param.watch(draw_moment, "value_throttled")
symbol.param.watch(draw_path, "value")
suppose.on_click(ask)
again.on_click(ask_again)
sections = [
    wb.pages.beside(session, symbol),
    moment,
    wb.pages.beside(now, state),
    path,
    decisions,
    events,
    adding,
    holdings,
    wb.pages.beside(setting, value, suppose),
    again,
    progress,
    same,
    strayed,
    supposed,
    differing,
    other,
    two,
    diff,
]
wb.pages.page("replay", screen, sections, redraw).servable()
