"""A number that knows what it is and by which conventions it was made."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from workbench.core.printing import html_table


class Estimate(float):
    """A float with its name, its parts and its conventions; it computes and compares like any float.

    Parameters
    ----------
    value : float
    name : str
        What the number is, with its unit.
    conventions : mapping of str to object
        What was chosen where the field has several ways.
    parts : mapping of str to float, default none
        Numbers on the way to the value; each is an attribute too.
    """

    name: str
    conventions: Mapping[str, object]
    parts: Mapping[str, float]

    def __new__(
        cls,
        value: float,
        *,
        name: str,
        conventions: Mapping[str, object],
        parts: Mapping[str, float] | None = None,
    ) -> Estimate:
        """Make the number."""
        made = super().__new__(cls, value)
        made.__dict__.update(
            name=name,
            conventions=MappingProxyType(dict(conventions)),
            parts=MappingProxyType(dict(parts or {})),
        )
        return made

    def __getattr__(self, name: str) -> float:
        parts: Mapping[str, float] = self.__dict__.get("parts", {})
        if name in parts:
            return parts[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("an estimate cannot be changed")

    def __getnewargs_ex__(self) -> tuple[tuple[float], dict[str, Any]]:
        parts = {"name": self.name, "conventions": dict(self.conventions), "parts": dict(self.parts)}
        return (float(self),), parts

    def __getstate__(self) -> None:
        return None  # everything is in the arguments of __new__

    def _repr_html_(self) -> str:
        return html_table(self.name, {"value": float(self), **self.parts}, self.conventions)
