"""Execution quality: what decisions cost on their way to the books, and the whole story of each order."""

import panel as pn

import workbench as wb

pn.extension("tabulator")
screen = wb.screen("tca")
symbol = pn.widgets.Select(label="Symbol", options={"all": ""})
side = pn.widgets.Select(label="Side", options={"both": "", "buy": "buy", "sell": "sell"})
first = pn.widgets.Select(label="From session", options={"the first": ""})
last = pn.widgets.Select(label="To session", options={"the last": ""})
order = pn.widgets.Select(label="Order: its whole story", options={"none chosen": ""}, width=320)
totals, remarks, told = wb.pages.card(), wb.pages.card(), wb.pages.card()
waterfall, predicted = wb.pages.picture(), wb.pages.picture()
path, steps = wb.pages.picture(340), wb.pages.picture(340)
by_symbol, show_by_symbol = wb.pages.table("By symbol", empty="No order to measure.")
by_side, show_by_side = wb.pages.table("By side", empty="No order to measure.")
events, show_events = wb.pages.table("Journal rows of the order", empty="Choose an order in the table above.")
shown: dict = {"orders": None}
worst, show_worst = wb.pages.table(
    "Orders, the dearest first; click one for its story",
    empty="No order to measure.",
    choose=lambda row: setattr(order, "value", shown["orders"]["order_id"].iloc[row]),
)
save = wb.pages.save_button("orders", lambda: shown["orders"])


def draw(*_: object) -> None:
    """Measure the chosen orders."""
    found = screen.execution((symbol.value, side.value, first.value, last.value))
    pictures.visible = tables.visible = chosen.visible = found is not None
    if found is None:
        totals.object = wb.pages.facts("Execution", {"Orders": 0})
        remarks.object = wb.pages.notes([screen.nothing()])
        return
    shown["orders"] = found.orders
    totals.object = wb.pages.facts("Execution of the chosen orders", found.facts)
    remarks.object = wb.pages.notes(found.notes)
    waterfall.object = screen.desk.plots.shortfall_waterfall(found.steps, title="Where the shortfall arose")
    predicted.visible = bool(len(found.predicted))
    if predicted.visible:
        predicted.object = screen.desk.plots.predicted_and_realised(found.predicted)
    show_by_symbol(found.by_symbol)
    show_by_side(found.by_side)
    show_worst(found.orders)
    order.options = {"none chosen": "", **screen.labels(found)}


def tell(*_: object) -> None:
    """Tell the story of the chosen order."""
    story = screen.story(order.value) if order.value else None
    path.visible = steps.visible = events.visible = told.visible = story is not None
    if story is None:
        return
    told.object = wb.pages.facts("The order, and the decision that wanted it", story.facts)
    path.object = screen.desk.plots.price_path(story.prices, story.fills)
    steps.visible = story.steps is not None
    if story.steps is not None:
        steps.object = screen.desk.plots.shortfall_waterfall(story.steps)
    show_events(story.events)


def redraw() -> None:
    """Offer what there is to choose from; keep what was chosen."""
    symbol.options = {"all": "", **{one: one for one in screen.symbols}}
    first.options = {"the first": "", **{one: one for one in screen.sessions}}
    last.options = {"the last": "", **{one: one for one in screen.sessions}}
    draw()
    tell()


for widget in (symbol, side, first, last):
    widget.param.watch(draw, "value")
order.param.watch(tell, "value")
pictures = wb.pages.beside(waterfall, predicted)
tables = pn.Column(by_symbol, by_side, worst, save, sizing_mode="stretch_width")
chosen = pn.Column(order, told, wb.pages.beside(path, steps), events, sizing_mode="stretch_width")
filters = wb.pages.beside(symbol, side, first, last, width_px=150)
wb.pages.page("tca", screen, [filters, totals, pictures, remarks, tables, chosen], redraw).servable()
