"""Overfitting: the desk's candidates, and what is left of the best of many tried variants."""

import panel as pn

import workbench as wb

pn.extension("tabulator")
screen = wb.screen("overfitting")
who = wb.pages.visitor(screen)
cost = pn.widgets.Select(label="Cost of one side, bps", options=[0.0, 2.0, 5.0, 10.0], value=5.0, width=200)
press = pn.widgets.Button(label="Judge", button_type="primary", width=160)
progress, verdict = wb.pages.card(), wb.pages.card()
logits, degradation = wb.pages.picture(300), wb.pages.picture(300)
fan, deflation, surface = wb.pages.picture(300), wb.pages.picture(300), wb.pages.picture(300)
candidates, show_candidates = wb.pages.table(
    "Candidates of this desk, with their walk-forward scores",
    empty="No model is registered yet. Train one: workbench train",
    why="candidates",
    key="model_id",
)
reasons, show_reasons = wb.pages.table(
    "Why it may not be promoted", empty="Nothing speaks against it.", why="judged"
)
best, show_best = wb.pages.table(
    "The best variants of the sample family", empty="Nothing judged yet.", why="best"
)
gates, show_gates = wb.pages.table(
    "Gates of every model that was judged",
    empty="No model was judged yet: workbench promote MODEL --stage shadow",
    why="gates",
    key="model",
)
release, show_models = wb.pages.release_card(screen.commands, person=who)
shown: dict = {"study": None, "candidates": None}


def ask(*_: object) -> None:
    """Begin to judge the family."""
    screen.ask(cost.value)
    draw()


def draw(*_: object) -> None:
    """Show the judged family when there is one, else what to do."""
    found = screen.answer(cost.value)
    progress.object = wb.pages.work_line(screen.work, screen.advice(found))
    judged.visible = found is not None
    if found is None or found is shown["study"]:
        return
    shown["study"] = found
    plots = screen.desk.plots
    verdict.object = wb.pages.verdict(
        "statistics passed" if found.passed else "refused", found.facts, whole="judged"
    )
    show_reasons(found.reasons)
    choice = found.found
    logits.draw(lambda: plots.logit_histogram(choice.combinations))
    degradation.draw(
        lambda: plots.degradation(choice.combinations, slope=choice.slope, intercept=choice.intercept)
    )
    fan.draw(lambda: plots.path_fan(found.paths))
    deflation.draw(lambda: plots.deflation(found.deflation))
    surface.draw(lambda: plots.sensitivity_surface(found.surface))
    show_best(found.best)


def redraw() -> None:
    """Show the registered models and what has been computed since."""
    press.disabled = bool(screen.work.progress)
    if screen.candidates is not shown["candidates"]:
        shown["candidates"] = screen.candidates
        show_candidates(screen.candidates)
        show_gates(screen.gates)
        show_models(screen.models)
    draw()


press.on_click(ask)
cost.param.watch(draw, "value")
family = wb.pages.card("<h2>A family of strategies on the sample, judged</h2>")
judged = pn.Column(
    verdict,
    reasons,
    wb.pages.beside(logits, degradation),
    wb.pages.beside(fan, deflation),
    surface,
    best,
    sizing_mode="stretch_width",
)
wb.pages.page(
    "overfitting", screen, [candidates, gates, release, family, cost, press, progress, judged], redraw
).servable()
