"""Reads figures in the text format of Prometheus, strictly: what a scrape would see."""

from __future__ import annotations

import re

LINE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*",?)*)\})? (\S+)')
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\.)*)"')


def plain(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), text)


def read(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found = {}
    for line in text.split("\n")[:-1]:
        if line.startswith("#"):
            assert re.match(r"# (HELP|TYPE) \S+ \S", line)
            continue
        match = LINE.fullmatch(line)
        assert match, line
        labels = tuple((name, plain(value)) for name, value in LABEL.findall(match[2] or ""))
        found[match[1], labels] = float(match[3].replace("Inf", "inf"))
    return found
