"""Execution quality: what decisions cost on their way to the books, and the whole story of each order."""

import panel as pn

import workbench as wb

pn.extension("tabulator")
screen = wb.screen("tca")
symbol = pn.widgets.Select(label="Symbol", options={})
side = pn.widgets.Select(label="Side", options={"both": "", "buy": "buy", "sell": "sell"})
first = pn.widgets.Select(label="From session", options={})
last = pn.widgets.Select(label="To session", options={})
by = pn.widgets.Select(label="Break down by", options=list(screen.groups))
order = pn.widgets.TextInput(
    label="Order: its whole story", placeholder="click an order in the table, or paste its id", width=420
)
totals, remarks, told, working = (wb.pages.card() for _ in range(4))
waterfall, spread, broken_down = wb.pages.picture(), wb.pages.picture(), wb.pages.picture()
predicted, fan, floors = wb.pages.picture(), wb.pages.picture(), wb.pages.picture()
path, steps = wb.pages.picture(340), wb.pages.picture(340)
groups, show_groups = wb.pages.table("Broken down", empty="No order to measure.", why="groups")
quantiles, show_quantiles = wb.pages.table(
    "Quantiles with 90 % intervals", empty="No order to measure.", why="distribution"
)
compared, show_compared = wb.pages.table(
    "Executions against benchmarks", empty="Nothing to compare with.", why="benchmarks"
)
events, show_events = wb.pages.table(
    "Journal rows of the order",
    empty="Choose an order in the table above.",
    choose=lambda row: wb.pages.ask(f"order/{order.value}"),
    why="order",
)
shown: dict = {"found": None, "floors": None}
worst, show_worst = wb.pages.table(
    "Orders, the dearest first; click one for its story",
    empty="No order to measure.",
    choose=lambda row: setattr(order, "value", shown["found"].orders["order_id"].iloc[row]),
    why="orders",
)
saves = wb.pages.save_buttons(
    "orders",
    lambda: shown["found"].orders,
    report=lambda: wb.pages.execution_report(screen, chosen()),
)


def chosen() -> tuple[str, str, str, str]:
    """Which orders the reader has chosen."""
    return tuple(widget.value or "" for widget in (symbol, side, first, last))


def draw(*_: object) -> None:
    """Show what the chosen orders cost; while nothing is measured yet, what was sent last."""
    if not screen.known:
        pictures.visible = tables.visible = floors.visible = False
        totals.object = wb.pages.facts("Execution of the newest orders is being measured", screen.newest)
        return
    found = screen.execution(chosen())
    pictures.visible = tables.visible = found is not None
    if found is not None and found is shown["found"]:
        return
    shown["found"] = found
    if found is None:
        totals.object = wb.pages.facts("Execution", {"Orders": 0})
        remarks.object = wb.pages.notes([screen.nothing()])
        return
    plots = screen.desk.plots
    totals.object = wb.pages.facts("Execution of the chosen orders", found.facts, why="execution")
    remarks.object = wb.pages.notes(found.notes)
    waterfall.draw(lambda: plots.shortfall_waterfall(found.steps, title="Where the shortfall arose"))
    spread.draw(lambda: plots.cost_distribution(found.orders, found.distribution))
    predicted.visible = bool(len(found.predicted))
    if predicted.visible:
        predicted.draw(lambda: plots.predicted_and_realised(found.predicted))
    fan.draw(lambda: plots.close_markouts(found.markouts))
    show_quantiles(found.distribution)
    show_worst(found.orders)
    break_down()


def break_down(*_: object) -> None:
    """Show the chosen orders by what the reader chose."""
    if shown["found"] is not None:
        frame = screen.broken_down(chosen(), by.value)
        title = f"Shortfall by {by.value}"
        broken_down.draw(lambda: screen.desk.plots.cost_by_group(frame, title=title))
        show_groups(frame)


def tell(*_: object) -> None:
    """Tell the story of the chosen order, or say that there is none."""
    story = screen.story(order.value) if order.value else None
    telling.visible = story is not None
    told.object = wb.pages.unknown_order(order.value) if order.value and screen.known else ""
    if story is None:
        return
    told.object = wb.pages.facts(
        "The order, and the decision that wanted it", story.facts, whole=f"order/{order.value}"
    )
    path.draw(lambda: screen.desk.plots.price_path(story.prices, story.fills, story.benchmarks))
    steps.visible = story.steps is not None
    if story.steps is not None:
        steps.draw(lambda: screen.desk.plots.shortfall_waterfall(story.steps))
    show_compared(story.benchmarks.drop(columns="at", errors="ignore"))
    show_events(story.events)


def redraw() -> None:
    """Offer what there is to choose from; keep what was chosen."""
    working.object = wb.pages.work_line(screen.work, "")
    if not screen.known:
        draw()
        return
    symbol.options = {"all": "", **{one: one for one in screen.symbols}}
    first.options = {"the first": "", **{one: one for one in screen.sessions}}
    last.options = {"the last": "", **{one: one for one in screen.sessions}}
    floors.visible = bool(len(screen.floors))
    if floors.visible and screen.floors is not shown["floors"]:
        shown["floors"] = screen.floors
        floors.draw(lambda: screen.desk.plots.cost_floors(screen.floors))
    draw()
    tell()


for widget in (symbol, side, first, last):
    widget.param.watch(draw, "value")
by.param.watch(break_down, "value")
order.param.watch(tell, "value")
telling = pn.Column(
    wb.pages.beside(path, steps), wb.pages.beside(compared, events), sizing_mode="stretch_width"
)
pictures = pn.Column(
    wb.pages.beside(waterfall, spread), wb.pages.beside(predicted, fan), sizing_mode="stretch_width"
)
tables = pn.Column(
    by, wb.pages.beside(broken_down, groups), quantiles, worst, saves, sizing_mode="stretch_width"
)
filters = wb.pages.beside(symbol, side, first, last, width_px=150)
sections = [filters, working, totals, remarks, pictures, floors, tables, order, told, telling]
wb.pages.page("tca", screen, sections, redraw, kept={"order": order}).servable()
