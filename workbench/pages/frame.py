"""The frame of every page: title, navigation, theme, address, and how old the page is."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.pages.address import Address, address_name
from workbench.pages.drawer import question_drawer
from workbench.pages.pace import Pace
from workbench.pages.shell import LIVE, live_template, shell
from workbench.pages.style import BEAT, PARTS, STALE_S, STYLE

if TYPE_CHECKING:
    from workbench.screens.screen import Screen

#: The dashboards in the order of the navigation: address -> title.
NAMES: dict[str, str] = {
    "desk": "Desk",
    "tca": "Execution quality",
    "drift": "Drift",
    "overfitting": "Overfitting",
    "replay": "Replay",
}
REFRESH_MS = 500


def page(
    name: str,
    screen: Screen,
    sections: Sequence[Any],
    redraw: Callable[[], None],
    *,
    kept: Mapping[str, Any] | None = None,
) -> Any:
    """The page, kept true: every half second the screen is polled and, when it changed, redrawn.

    What a reader chooses (selections, numbers, sliders) stands in the address, so that the address shows
    the same to somebody else; what a person types to command never does.

    Parameters
    ----------
    name : str
        A key of `NAMES`.
    screen : Screen
        Shared by all who look at this page.
    sections : sequence
        Panel objects from top to bottom.
    redraw : callable () -> None
        Brings the sections up to the screen; called once before the first paint.
    kept : mapping of str to widget, optional
        Text fields that belong into the address too, by their names in it.

    Returns
    -------
    BootstrapTemplate
        To be marked servable by the app.
    """
    import panel as pn

    banner = pn.pane.HTML(sizing_mode="stretch_width", stylesheets=[PARTS])
    notice = pn.pane.HTML(sizing_mode="stretch_width", stylesheets=[PARTS], visible=False)
    links = pn.pane.HTML(stylesheets=[PARTS])
    whole = pn.Column(*sections, sizing_mode="stretch_width")
    body = pn.Column(sizing_mode="stretch_width")
    # made for the browser when it has the shell: its models take longer than everything before them
    pn.state.onload(lambda: body.param.update(objects=[whole], css_classes=[LIVE]))
    beat = pn.widgets.TextInput(visible=False)
    beat.jscallback(value=BEAT)
    location = pn.state.location
    pace = Pace()
    missed: list[str] = []
    shown: dict[str, Any] = {"version": -1, "banner": "", "beats": 0}

    def write(query: str) -> None:
        if location is not None:
            location.search = query
        links.object = navigation(name, person=visitor(screen), query=query)

    address = Address(_asked(), {**choices(whole), **(kept or {})}, write)

    def refresh() -> None:
        version = screen.poll()
        words = status_line(screen)
        if words != shown["banner"]:
            shown["banner"] = banner.object = words
            body.styles = {"opacity": ".45", "filter": "grayscale(1)"} if is_doubtful(screen) else {}
        if version != shown["version"] and not screen.problem and pace.may_draw(screen.urgent):
            redraw()
            pace.drawn(screen.urgent, readers=screen.readers)
            shown["version"] = version
            if said := address.bring():
                missed.extend(said)  # some of it is known later than the rest
                notice.object = notices(missed)
                notice.visible = True
        shown["beats"] += 1
        if shown["beats"] % 2:  # once a second is enough for an age in seconds
            age_s = screen.age_s()
            beat.value = f"{shown['beats']} {age_s:.1f}" if math.isfinite(age_s) else "0 Infinity"

    def leave(_: Any) -> None:
        screen.readers -= 1

    screen.readers += 1
    pn.state.on_session_destroyed(leave)
    screen.held = screen.held is None
    pn.state.onload(lambda: setattr(screen, "held", False))
    refresh()
    links.object = navigation(name, person=visitor(screen), query=address.query)
    template = live_template(
        title=f"Workbench: {NAMES[name]}", header=[links],
        main=[banner, notice, body, question_drawer(screen, location), beat],
        header_background="#1f3a5f", busy_indicator=None, raw_css=[STYLE], theme=_theme(),
    )  # fmt: skip
    template.open_with(shell(screen, status_line(screen) if is_doubtful(screen) else "", whole))
    pn.state.add_periodic_callback(refresh, period=REFRESH_MS)
    return template


def choices(body: Any) -> dict[str, Any]:
    """What a reader may choose on a page: selections, numbers and sliders, by their names in the address."""
    import panel as pn

    kinds = (pn.widgets.Select, pn.widgets.IntInput, pn.widgets.IntSlider)
    found = body.select(lambda part: isinstance(part, kinds))
    return {address_name(widget.label or widget.name): widget for widget in found}


def _asked() -> dict[str, str]:
    """The words of the address with which the page was opened."""
    import panel as pn

    return {
        name: values[-1].decode("utf-8", "replace")
        for name, values in pn.state.session_args.items()
        if values
    }


def _theme() -> str:
    return "dark" if _asked().get("theme") == "dark" else "default"


def visitor(screen: Screen) -> str:
    """Name of the person who has logged in; "" where the pages ask for no log-in."""
    import panel as pn

    return str(pn.state.user or "") if screen.desk.settings.dashboards.login else ""


def navigation(current: str, *, person: str = "", query: str = "") -> str:
    """Links to all pages; the present one is marked for eyes and for readers of the screen."""
    dark = _theme() == "dark"
    keep = "?theme=dark" if dark else ""
    links = [
        f'<a href="{key}{keep}"{" aria-current=page" if key == current else ""}>{title}</a>'
        for key, title in NAMES.items()
    ]
    rest = "&".join(part for part in query.lstrip("?").split("&") if part and not part.startswith("theme="))
    turned = "&".join(part for part in (rest, "" if dark else "theme=dark") if part)
    other = f"{current}{f'?{turned}' if turned else ''}"
    light = f'<a href="{html.escape(other)}">{"Light" if dark else "Dark"}</a>'
    leave = f'<a href="logout">Log out {html.escape(person)}</a>' if person else ""
    return f'<nav aria-label="Dashboards">{"".join(links)}{light}{leave}</nav>'


def is_doubtful(screen: Screen) -> bool:
    """Whether the page may no longer be true."""
    return bool(screen.problem) or screen.age_s() > STALE_S


def status_line(screen: Screen) -> str:
    """One line: what is wrong and what to do, or that the page is up to date."""
    if screen.problem:
        return (
            f'<div class="card problem" role="alert"><b class="bad">{html.escape(screen.problem)}</b><br>'
            f"{html.escape(screen.next_step)}</div>"
        )
    if screen.age_s() > STALE_S:
        return (
            '<div class="card problem" role="alert"><b class="bad">This page is stale.</b> '
            "It could not be brought up to date for some seconds.</div>"
        )
    return '<span class="muted">Up to date; refreshed twice a second.</span>'


def notices(said: Sequence[str]) -> str:
    """What of a link could not be shown, as HTML."""
    lines = "".join(f"<br>{html.escape(line)}" for line in said)
    return (
        '<div class="card problem" role="alert"><b class="warn">The page does not show all that its address '
        f"asks for.</b>{lines}<br>Choose below; the address follows.</div>"
    )
