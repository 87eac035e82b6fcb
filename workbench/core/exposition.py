"""Figures in the text format that Prometheus reads, version 0.0.4."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

#: What a server says of such a text.
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True)
class Figure:
    """One value of one metric.

    Attributes
    ----------
    name : str
        Of the metric, its unit last; counters end in "_total".
    value : float
    meaning : str
        One line.
    labels : mapping of str to str
    """

    name: str
    value: float
    meaning: str
    labels: Mapping[str, str] = field(default_factory=dict)


def exposition(figures: Iterable[Figure]) -> str:
    """All figures as text, those of one metric together, in the order of their first mention.

    Raises
    ------
    ValueError
        A name that the format does not know, or the same metric and labels twice.

    Examples
    --------
    >>> print(exposition([Figure("desk_up", 1.0, "Whether it can be read.", {"account": "demo"})]), end="")
    # HELP desk_up Whether it can be read.
    # TYPE desk_up gauge
    desk_up{account="demo"} 1
    """
    families: dict[str, list[Figure]] = {}
    for one in figures:
        families.setdefault(one.name, []).append(one)
    lines: list[str] = []
    for name, members in families.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a metric")
        lines.append(f"# HELP {name} {_escaped(members[0].meaning, quotes=False)}")
        lines.append(f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}")
        seen = [f"{name}{_labels(one.labels)}" for one in members]
        if len(set(seen)) < len(seen):
            raise ValueError(f"{name} has the same labels twice")
        lines += [f"{where} {_number(one.value)}" for where, one in zip(seen, members, strict=True)]
    return "".join(f"{line}\n" for line in lines)


def _labels(labels: Mapping[str, str]) -> str:
    for name in labels:
        if not _LABEL.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a label")
    inside = ",".join(f'{name}="{_escaped(value, quotes=True)}"' for name, value in sorted(labels.items()))
    return f"{{{inside}}}" if inside else ""


def _escaped(text: str, *, quotes: bool) -> str:
    plain = text.replace("\\", "\\\\").replace("\n", "\\n")
    return plain.replace('"', '\\"') if quotes else plain


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
