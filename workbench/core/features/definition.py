"""What a feature is, and the registry that finds every one of them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, TypeAlias

from workbench.core.types import Floats


class Window(NamedTuple):
    """Adjusted prices and volumes of the last `lookback` bars, each of shape (lookback, symbols)."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats


FeatureFunction: TypeAlias = Callable[[Window], Floats]


@dataclass(frozen=True)
class Feature:
    """A named function of the last `lookback` bars.

    Attributes
    ----------
    name : str
    lookback : int
        Rows that the function needs, the described row included.
    function : callable
        From a `Window` to float64 (symbols,); pure. Column by column, unless `compares_symbols`.
    family : str
        Name of the file that defines it.
    unit : str
        Unit and scale of the value.
    meaning : str
        One line.
    compares_symbols : bool
        The value depends on the other symbols of the panel. The function then sees NaN in every column
        that misses a bar of the window, and must give NaN where there is nothing to compare with.
    """

    uses_future: ClassVar[bool] = False
    name: str
    lookback: int
    function: FeatureFunction
    family: str = ""
    unit: str = ""
    meaning: str = ""
    compares_symbols: bool = False

    def __post_init__(self) -> None:
        if self.lookback < 1:
            raise ValueError(f"feature {self.name} must look back at least one row")


_REGISTRY: dict[str, Feature] = {}


def feature(
    name: str, *, lookback: int, unit: str, meaning: str, compares_symbols: bool = False
) -> Callable[[FeatureFunction], FeatureFunction]:
    """Register the decorated function as a feature; one function may serve several lookbacks.

    Parameters
    ----------
    name : str
        Unique; ends in the number of sessions it spans where there is one.
    lookback : int
        Rows of the window that the function is given, the described row included.
    unit, meaning : str
        For people; neither may be empty.
    compares_symbols : bool, default False

    Raises
    ------
    ValueError
        The name is taken, or something is not described.

    Examples
    --------
    >>> from workbench.extending import feature, select_features
    >>> @feature("doc_rise_2", lookback=3, unit="fraction", meaning="return over two sessions")
    ... def rise(window):
    ...     return window.close[-1] / window.close[0] - 1.0
    >>> select_features(["doc_rise_2"])[0].family != ""
    True
    """
    if not (name and unit and meaning):
        raise ValueError(f"feature {name!r} needs a name, a unit and a meaning")

    def register(function: FeatureFunction) -> FeatureFunction:
        if name in _REGISTRY:
            raise ValueError(f"there are two features named {name!r}")
        family = function.__module__.rpartition(".")[2]
        _REGISTRY[name] = Feature(name, lookback, function, family, unit, meaning, compares_symbols)
        return function

    return register


def registered_features() -> tuple[Feature, ...]:
    """Every feature there is, sorted by family and name.

    Examples
    --------
    >>> from workbench.extending import registered_features
    >>> len(registered_features()) > 20
    True
    """
    return tuple(sorted(_REGISTRY.values(), key=lambda each: (each.family, each.name)))


def select_features(names: Sequence[str]) -> tuple[Feature, ...]:
    """The named features, in the order of the names.

    Raises
    ------
    ValueError
        A name is unknown (the nearest known one is suggested), occurs twice, or there is none.

    Examples
    --------
    >>> from workbench.extending import select_features
    >>> [one.lookback for one in select_features(["momentum_20", "gap_1"])]
    [21, 2]
    """
    if not names:
        raise ValueError("is empty: a model needs at least one feature")
    for name in names:
        if name not in _REGISTRY:
            nearest = difflib.get_close_matches(name, sorted(_REGISTRY), n=1, cutoff=0.5)
            hint = f"did you mean {nearest[0]!r}? " if nearest else ""
            raise ValueError(f"{name!r} is no feature; {hint}`workbench features` lists all")
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise ValueError(f"names {', '.join(twice)} more than once")
    return tuple(_REGISTRY[name] for name in names)
