"""Identities of a column as numbers, without looking at a word of a dictionary twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.core.kernel import kernel
from workbench.core.tca.streaming import frozen
from workbench.core.types import Numbers


def id_values(column: Any) -> Any:
    """A column of ids as an array; texts of an Arrow dictionary stay objects."""
    if hasattr(column, "to_pandas"):
        return column.to_numpy(zero_copy_only=False)
    return column.to_numpy()


@kernel
def translate(codes: Numbers, known: Numbers, numbers: Numbers) -> None:
    """Write the number of each code."""
    for at in range(codes.shape[0]):
        numbers[at] = known[codes[at]]


class Numbering:
    """Numbers of a column's values, -1 = not known; each word of an Arrow dictionary is judged once.

    Parameters
    ----------
    number_of : callable (array) -> array
    """

    def __init__(self, number_of: Callable[[Any], Any]) -> None:
        self._number_of = number_of
        self._dictionary: Any = None
        self._known = np.zeros(0, dtype=np.int32)

    def of(self, column: Any) -> Numbers:
        """Number of each value of a column of a frame or of an Arrow batch."""
        if not hasattr(column, "indices"):
            return np.asarray(self._number_of(id_values(column)), dtype=np.int32)
        if self._dictionary is None or not column.dictionary.equals(self._dictionary):
            words = np.array(column.dictionary.to_pylist(), dtype=object)
            numbers = np.asarray(self._number_of(words), dtype=np.int32)
            self._dictionary = column.dictionary
            self._known = np.append(numbers, np.int32(-1))  # the last stands for no word
        at = column.indices
        if at.null_count:
            at = at.fill_null(len(self._known) - 1)
        codes = at.to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
        found = np.empty(len(codes), dtype=np.int32)
        translate(frozen(codes), frozen(self._known), found)
        return found
