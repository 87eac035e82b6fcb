"""The gate's error rates as curves: one picture of plain SVG, drawn from the same rows as the table."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

Rates = dict[str, dict[str, float]]
WIDTH, HEIGHT, LEFT, TOP, WIDE, HIGH = 980, 330, 52, 44, 300, 220
BETWEEN = 530
TRIALS = (1, 10, 30, 100, 300, 1_000)
COLOURS = {"all": "#111111", "deflated": "#1f5fa8", "SPA": "#b03529", "PBO or loss": "#2e7d32"}
DASHES = {"normal": "", "fat": "6 3", "autocorrelated": "2 3"}


@dataclass
class Panel:
    """One diagram: trials on a logarithmic axis, the share of families that pass in per cent."""

    at: float
    title: str
    most: float
    least_trials: int
    limit: float
    parts: list[str] = field(default_factory=list)
    keys: int = 0

    def x(self, trials: int) -> float:
        """Place of a number of trials."""
        span = math.log10(TRIALS[-1] / self.least_trials)
        return self.at + WIDE * math.log10(trials / self.least_trials) / span

    def y(self, percent: float) -> float:
        """Place of a share."""
        return TOP + HIGH * (1.0 - percent / self.most)

    def axes(self) -> None:
        """Title, ticks, and the bar as a dashed line."""
        self._text(self.at, TOP - 18, self.title, weight="bold")
        for n in (n for n in TRIALS if n >= self.least_trials):
            self._text(self.x(n), TOP + HIGH + 18, f"{n:,}", anchor="middle")
        self._text(self.at + WIDE / 2, TOP + HIGH + 38, "trials in the family", anchor="middle")
        for step in range(5):
            percent = self.most * step / 4
            self._line([(self.at, self.y(percent)), (self.at + WIDE, self.y(percent))], "#dddddd")
            self._text(self.at - 6, self.y(percent) + 4, f"{percent:g} %", anchor="end")
        self._line([(self.at, self.y(self.limit)), (self.at + WIDE, self.y(self.limit))], "#888888", "8 4")

    def curve(self, points: Iterable[tuple[int, float]], colour: str, dash: str, name: str) -> None:
        """A line with its points and its name."""
        places = [(self.x(n), self.y(100.0 * share)) for n, share in sorted(points)]
        self._line(places, colour, dash)
        self.parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        height = TOP + 8 + 16 * self.keys
        self._line([(self.at + WIDE + 10, height - 4), (self.at + WIDE + 34, height - 4)], colour, dash)
        self._text(self.at + WIDE + 40, height, name)
        self.keys += 1

    def _line(self, places: list[tuple[float, float]], colour: str, dash: str = "") -> None:
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}"{dashes}/>')

    def _text(self, x: float, y: float, words: str, *, anchor: str = "start", weight: str = "normal") -> None:
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">'
            f"{html.escape(words)}</text>"
        )


def curves(found: Rates) -> str:
    """The picture: how much noise each gate lets pass, and how often a single skilled trial passes them all.

    Parameters
    ----------
    found : dict
        Rates of each gate by the name of the cell.
    """
    noise = Panel(LEFT, "noise: families that pass", 10.0, 10, 5.0)
    noise.axes()
    for gate, colour in COLOURS.items():
        noise.curve(_shares(found, "noise, normal, correlation 0", gate), colour, "", gate)
    for shape in ("fat", "autocorrelated"):
        points = _shares(found, f"noise, {shape}, correlation 0", "all")
        noise.curve(points, COLOURS["all"], DASHES[shape], f"all, {shape}")
    power = Panel(LEFT + BETWEEN, "one skilled trial: families that pass", 100.0, 1, 80.0)
    power.axes()
    for sharpe, colour in zip(("1.5", "1.75", "2"), ("#b03529", "#1f5fa8", "#2e7d32"), strict=True):
        ending = f"1 with Sharpe {sharpe}, normal, correlation 0"
        power.curve(_shares(found, ending, "all"), colour, "", f"Sharpe {sharpe}")
    parts = "\n".join((*noise.parts, *power.parts))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 40} {HEIGHT}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n'
        f"{parts}\n</svg>\n"
    )


def _shares(found: Rates, ending: str, gate: str) -> list[tuple[int, float]]:
    """Number of trials and share of every cell of that kind."""
    return [
        (int(name.partition(" ")[0]), row[gate])
        for name, row in found.items()
        if name.partition(" trials, ")[2] == ending
    ]
