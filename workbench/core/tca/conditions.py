"""Which sale conditions count for volume, and which prints set the price: the committed table.

Codes of the consolidated tape as in the volume, last and high-low columns of the sale condition tables of
the CTA and UTP plans. A print with several codes counts only where each of its codes does. Blank, "@" and
a missing text are regular sales. An unknown code counts for nothing and is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from workbench.core.types import Booleans

_REGULAR = "regular sale"
#: code: (meaning, counts for volume, sets high, low and last)
CONDITIONS = MappingProxyType(
    {
        "@": (_REGULAR, True, True),
        "A": ("acquisition", True, True),
        "B": ("average price or bunched", True, False),
        "C": ("cash sale", True, False),
        "D": ("distribution", True, True),
        "E": ("automatic execution", True, True),
        "F": ("intermarket sweep", True, True),
        "G": ("bunched, sold late", True, False),
        "H": ("price variation", True, False),
        "I": ("odd lot", True, False),
        "K": ("rule 127 or 155", True, True),
        "L": ("sold last", True, True),
        "M": ("official close of a market: repeats the closing print", False, False),
        "N": ("next day", True, False),
        "O": ("opening print", True, True),
        "P": ("prior reference price", True, False),
        "Q": ("official open of a market: repeats the opening print", False, False),
        "R": ("seller's option", True, False),
        "S": ("split trade", True, True),
        "T": ("outside of regular hours", True, False),
        "U": ("outside of regular hours, out of sequence", True, False),
        "V": ("contingent", True, False),
        "W": ("average price", True, False),
        "X": ("cross", True, True),
        "Y": ("yellow flag", True, True),
        "Z": ("out of sequence", True, False),
        "1": ("stopped stock", True, True),
        "4": ("derivatively priced", True, False),
        "5": ("reopening print", True, True),
        "6": ("closing print", True, True),
        "7": ("qualified contingent", True, False),
        "8": ("reserved", True, False),
        "9": ("corrected consolidated close: repeats a print", False, False),
    }
)
CLOSING = "6"


@dataclass(frozen=True, eq=False)
class Eligibility:
    """What each print counts for, bool (prints,), and unknown codes with their counts."""

    volume: Booleans
    price: Booleans
    closing: Booleans
    unknown: dict[str, int]


def eligibility(conditions: Iterable[object]) -> Eligibility:
    """What prints with these condition texts count for.

    Parameters
    ----------
    conditions : iterable of str or None
        Codes of one print joined, such as "F I".

    Examples
    --------
    >>> found = eligibility(["", "F I", "M", "6"])
    >>> found.volume.tolist(), found.price.tolist()
    ([True, True, False, True], [True, False, False, True])
    """
    texts = [text if isinstance(text, str) else "" for text in conditions]
    known = {text: _judge(text) for text in dict.fromkeys(texts)}
    judged = np.array([known[text] for text in texts], dtype=np.bool_).reshape(len(texts), 3)
    unknown: dict[str, int] = {}
    for text in texts:
        for code in text:
            if not code.isspace() and code not in CONDITIONS:
                unknown[code] = unknown.get(code, 0) + 1
    return Eligibility(judged[:, 0], judged[:, 1], judged[:, 2], dict(sorted(unknown.items())))


def repeated_closes(closing: Booleans, prints: Sequence[Any]) -> Booleans:
    """Which closing prints repeat an earlier one, bool (prints,).

    Parameters
    ----------
    closing : bool (prints,)
    prints : sequence of sequences
        What makes two of them one, such as symbols, dates, prices and sizes; each of shape (prints,).
    """
    seen: set[tuple[Any, ...]] = set()
    repeated = np.zeros(len(closing), dtype=np.bool_)
    for row in np.flatnonzero(closing):
        key = tuple(column[row] for column in prints)
        repeated[row] = key in seen
        seen.add(key)
    return repeated


def _judge(text: str) -> tuple[bool, bool, bool]:
    codes = [code for code in text if not code.isspace()]
    rules = [CONDITIONS.get(code, ("unknown", False, False)) for code in codes]
    return all(rule[1] for rule in rules), all(rule[2] for rule in rules), CLOSING in codes
