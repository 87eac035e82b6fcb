"""The frame of every page: title, navigation, theme, and the banner that says how old the page is."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.screens import Screen

#: The dashboards in the order of the navigation: address -> title.
NAMES: dict[str, str] = {
    "desk": "Desk",
    "tca": "Execution quality",
    "drift": "Drift",
    "overfitting": "Overfitting",
    "replay": "Replay",
}
REFRESH_MS = 500
#: Age in seconds from which a page is grey: it may no longer be true.
STALE_S = 5.0

STYLE = """
:root { --ink: #1b1f24; --muted: #59636e; --line: #d0d7de; --card: #ffffff; --good: #1a7f37; --warn: #9a6700;
        --bad: #b3261e; --page: #f6f8fa; --accent: #1f5fa8; }
[data-bs-theme=dark] { --ink: #e6edf3; --muted: #9198a1; --line: #3d444d; --card: #161b22; --good: #3fb950;
        --warn: #d29922; --bad: #ff7b72; --page: #0d1117; --accent: #79b8ff; }
body, #container, #content, .main-content { background: var(--page); color: var(--ink); }
#header { flex-wrap: wrap; height: auto; min-height: 56px; }
"""

PARTS = """
:host { color: var(--ink); font-family: system-ui, sans-serif; }
a { color: var(--accent); }
h2 { font-size: 15px; margin: 0 0 6px; font-weight: 600; }
nav { display: flex; flex-wrap: wrap; }
nav a { color: #ffffff; margin: 0 10px 0 0; text-decoration: none; padding: 6px 8px; border-radius: 6px; }
nav a[aria-current=page], nav a:hover, nav a:focus { background: rgba(255, 255, 255, .22); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px 18px; }
.facts dt { color: var(--muted); font-size: 12px; margin: 0; }
.facts dd { font-size: 15px; margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.state { font-size: 26px; font-weight: 700; letter-spacing: .02em; }
.ACTIVE { color: var(--good); } .REDUCING { color: var(--warn); } .HALTED { color: var(--bad); }
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
.muted { color: var(--muted); font-size: 13px; }
.problem { border-left: 4px solid var(--bad); }
.bar { height: 10px; border-radius: 5px; background: var(--line); overflow: hidden; }
.bar > span { display: block; height: 100%; background: var(--accent); }
.bar > span.warn { background: var(--warn); } .bar > span.bad { background: var(--bad); }
"""


def page(name: str, screen: Screen, sections: Sequence[Any], redraw: Callable[[], None]) -> Any:
    """The page, kept true: every half second the screen is polled and, when it changed, redrawn.

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

    Returns
    -------
    BootstrapTemplate
        To be marked servable by the app.
    """
    import panel as pn

    banner = pn.pane.HTML(sizing_mode="stretch_width", stylesheets=[PARTS])
    body = pn.Column(*sections, sizing_mode="stretch_width")
    shown = {"version": -1, "banner": ""}

    def refresh() -> None:
        version = screen.poll()
        words = status_line(screen)
        if words != shown["banner"]:
            shown["banner"] = banner.object = words
            body.styles = {"opacity": ".45", "filter": "grayscale(1)"} if is_doubtful(screen) else {}
        if version != shown["version"] and not screen.problem:
            redraw()
            shown["version"] = version

    refresh()
    links = pn.pane.HTML(navigation(name, person=visitor(screen)), stylesheets=[PARTS])
    template = pn.template.BootstrapTemplate(
        title=f"Workbench: {NAMES[name]}", header=[links],
        main=[banner, body], header_background="#1f3a5f", busy_indicator=None, raw_css=[STYLE],
        theme=_theme(),
    )  # fmt: skip
    pn.state.add_periodic_callback(refresh, period=REFRESH_MS)
    return template


def _theme() -> str:
    import panel as pn

    asked = pn.state.session_args.get("theme", [b""])[0].decode("ascii", "replace")
    return "dark" if asked == "dark" else "default"


def visitor(screen: Screen) -> str:
    """Name of the person who has logged in; "" where the pages ask for no log-in."""
    import panel as pn

    return str(pn.state.user or "") if screen.desk.settings.dashboards.login else ""


def navigation(current: str, *, person: str = "") -> str:
    """Links to all pages; the present one is marked for eyes and for readers of the screen."""
    dark = _theme() == "dark"
    keep = "?theme=dark" if dark else ""
    links = [
        f'<a href="{key}{keep}"{" aria-current=page" if key == current else ""}>{title}</a>'
        for key, title in NAMES.items()
    ]
    other = f'<a href="{current}{"" if dark else "?theme=dark"}">{"Light" if dark else "Dark"}</a>'
    leave = f'<a href="logout">Log out {html.escape(person)}</a>' if person else ""
    return f'<nav aria-label="Dashboards">{"".join(links)}{other}{leave}</nav>'


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
