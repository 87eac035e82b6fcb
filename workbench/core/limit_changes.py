"""Which change of a limit permits more: a pure comparison of two sets of settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

#: Beginnings of names whose larger value permits more, and whose larger value permits less.
_MORE_PERMITS_MORE: Final = ("max_", "price_collar", "above_notional", "life_s")
_MORE_PERMITS_LESS: Final = ("min_", "duplicate_window")
#: Switches that permit more when they are on, and when they are off.
_ON_PERMITS_MORE: Final = ("allow_",)
_ON_PERMITS_LESS: Final = ("required", "first_order_of_symbol", "signatures_required")
#: Words in the order in which they permit more.
_STEPS: Final = {"promotion_second_person": ("shadow", "paper", "live")}
#: Lists from which nothing may be taken: what stands there is forbidden.
_FORBIDDEN_LISTS: Final = ("restricted",)


@dataclass(frozen=True)
class LimitChange:
    """One limit that is not what it was.

    Attributes
    ----------
    key : str
        Dotted name of the setting.
    old, new : object
    permits_more : bool
        True also where it cannot be told: then two people look at it.
    """

    key: str
    old: Any
    new: Any
    permits_more: bool

    def __str__(self) -> str:
        return f"{self.key} {_shown(self.old)} -> {_shown(self.new)}"


def limit_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[LimitChange, ...]:
    """Every limit that differs, in the order of the keys.

    Parameters
    ----------
    old, new : mapping of dotted key to value
        A key that `old` lacks is a limit that did not exist; one that `new` lacks has been taken away.

    Examples
    --------
    >>> [str(one) for one in limit_changes({"limits.max_order_shares": 5}, {"limits.max_order_shares": 9})]
    ['limits.max_order_shares 5 -> 9']
    """
    found = []
    for key in sorted(old.keys() | new.keys()):
        if key not in new:
            found.append(LimitChange(key, old[key], None, permits_more=True))
        elif key not in old:
            found.append(LimitChange(key, None, new[key], permits_more=False))
        elif _plain(old[key]) != _plain(new[key]) or isinstance(old[key], bool) != isinstance(new[key], bool):
            more = _permits_more(key.rpartition(".")[2], _plain(old[key]), _plain(new[key]))
            found.append(LimitChange(key, old[key], new[key], permits_more=more))
    return tuple(found)


def stricter(name: str, one: str, other: str) -> str:
    """Of two words of a setting whose words have an order, the one that permits less.

    Examples
    --------
    >>> stricter("promotion_second_person", "live", "paper")
    'paper'
    """
    return min(one, other, key=_STEPS[name].index)


def _permits_more(name: str, old: Any, new: Any) -> bool:
    """Whether the new value lets anything pass that the old one stopped; what is not known does."""
    if isinstance(old, bool) and isinstance(new, bool):
        if name.startswith(_ON_PERMITS_MORE):
            return new
        return not new if name in _ON_PERMITS_LESS else True
    steps = _STEPS.get(name, ())
    if old in steps and new in steps:
        return steps.index(new) > steps.index(old)
    if isinstance(old, list) and isinstance(new, list):
        return not (name in _FORBIDDEN_LISTS and set(old) <= set(new))
    if isinstance(old, int | float) and isinstance(new, int | float):
        if name.startswith(_MORE_PERMITS_MORE):
            return not new < old
        if name.startswith(_MORE_PERMITS_LESS):
            return not new > old
    return True


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(str(item) for item in value) + "]"
    return str(value).lower() if isinstance(value, bool) else f"{value}"
