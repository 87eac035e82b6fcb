"""Refusals of arguments that cannot be used, in one wording."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def require_whole(name: str, number: object, least: int) -> int:
    """The number, when it is whole and not too small.

    Raises
    ------
    ValueError
        It is not; the argument is named.
    """
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, not {number!r}")
    return int(number)


def require_finite(**numbers: object) -> None:
    """Refuse what is no finite number.

    Raises
    ------
    ValueError
        The argument is named.
    """
    for name, number in numbers.items():
        known = isinstance(number, (int, float, np.integer, np.floating)) and not isinstance(number, bool)
        if not known or not math.isfinite(float(number)):  # type: ignore[arg-type]
            raise ValueError(f"{name} must be a finite number, not {number!r}")


def require_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Refuse what is none of the choices.

    Raises
    ------
    ValueError
        The argument and the choices are named.
    """
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
