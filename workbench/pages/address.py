"""State of a page in its address: a link brings it, and what a reader chooses goes back into it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode

#: Longer texts in an address are no choice of a reader.
MOST_CHARACTERS = 200
#: Words of an address that belong to the frame.
OWN = frozenset({"theme"})


def address_name(label: str) -> str:
    """What a widget is called in the address: the first words of its label.

    Examples
    --------
    >>> address_name("Cost of one side, bps")
    'cost-of-one-side'
    """
    return re.sub(r"[^a-z0-9]+", "-", re.split("[:,]", label.lower())[0]).strip("-")


class Address:
    """Brings what a link asks for onto the widgets of a page, and keeps the address true since then.

    Parameters
    ----------
    asked : mapping of str to str
        The words of the address with which the page was opened.
    widgets : mapping of str to widget
        By their names in the address, in the order in which they are set.
    write : callable (query) -> None
        Told the new query, "" or "?name=value...".
    """

    def __init__(
        self, asked: Mapping[str, str], widgets: Mapping[str, Any], write: Callable[[str], None]
    ) -> None:
        self._open = {name: text for name, text in asked.items() if name not in OWN}
        self._now = dict(asked)
        self._widgets = dict(widgets)
        self._write = write
        for name, widget in self._widgets.items():
            parameter = "value_throttled" if hasattr(widget, "value_throttled") else "value"
            widget.param.watch(self._follow(name), parameter)

    @property
    def query(self) -> str:
        """The query of the present address."""
        return f"?{urlencode(self._now)}" if self._now else ""

    def bring(self) -> list[str]:
        """Set what the link asks for and can be set by now; sentences about what cannot be."""
        said = []
        for name in [*self._widgets, *(set(self._open) - set(self._widgets))]:
            if name not in self._open:
                continue
            widget = self._widgets.get(name)
            if widget is not None and _waits(widget):
                continue
            text = self._open.pop(name)
            trouble = f"this page has no setting {name!r}" if widget is None else _set(widget, text)
            if trouble:
                said.append(f"The address asks for {name} = {text[:MOST_CHARACTERS]!r}: {trouble}.")
                self._now.pop(name, None)
                self._write(self.query)
        return said

    def _follow(self, name: str) -> Callable[[Any], None]:
        def follow(event: Any) -> None:
            text = "" if event.new is None else str(event.new)
            if name in self._open or text == self._now.get(name, ""):
                return  # the link's own wish is still to come, or nothing new
            self._now.pop(name, None)
            if text:
                self._now[name] = text
            self._write(self.query)

        return follow


def asked_of(query: str) -> dict[str, str]:
    """The words of a query, the last of each name; "?a=1&a=2" gives a = 2."""
    return {name: values[-1] for name, values in parse_qs(query.lstrip("?")).items()}


def _waits(widget: Any) -> bool:
    """Whether the widget has nothing to choose from yet."""
    return hasattr(widget, "options") and not widget.options


def _set(widget: Any, text: str) -> str:
    """Give the widget that value; "" when it took it, else why it did not."""
    if len(text) > MOST_CHARACTERS:
        return "it is too long for a choice"
    if hasattr(widget, "options"):
        options = widget.options
        values = list(options.values()) if isinstance(options, Mapping) else list(options)
        found = [value for value in values if str(value) == text]
        if not found:
            some = ", ".join(str(value) for value in values[:8] if str(value))
            return f"there is none; there are {some or 'only all'}{', ...' if len(values) > 8 else ''}"
        widget.value = found[0]
        return ""
    if not hasattr(widget, "start"):
        widget.value = text
        return ""
    try:
        value = int(text)
    except ValueError:
        return "it is no whole number"
    if (widget.start is not None and value < widget.start) or (widget.end is not None and value > widget.end):
        return f"it has to be {widget.start} to {widget.end}"
    widget.value = value
    if hasattr(widget, "value_throttled"):
        import param

        with param.edit_constant(widget):
            widget.value_throttled = value
    return ""
