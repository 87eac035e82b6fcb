"""Write ``denial-codes.md`` and ``order-states.md`` beside this file: why a no, and what may follow what.

Run it after a control or a state was added: ``python docs/reference/build_orders.py`` or ``make docs``.
A test compares the pages with what this script would write.
"""

from __future__ import annotations

from pathlib import Path

from workbench.core.orders import TRANSITIONS, UNRESOLVED, WORKING, OrderState
from workbench.core.pretrade.catalogue import CONTROLS, Control

FOLDER = Path(__file__).parent
_DENIALS = """\
# Denial codes

Written by `docs/reference/build_orders.py`; do not edit.

A denied order was stopped by our own controls and never left the desk; the venue's no is REJECTED. Several
codes may be given at once. A control that cannot judge, because something is missing or is no number, denies.
The ceilings are the `limits` of the [settings](settings.md).

| code | meaning | limits | judged by |
|---|---|---|---|
"""
_STATES = """\
# Order states

Written by `docs/reference/build_orders.py`; do not edit.

An order changes only along this table; any other change is refused and nothing is written. *Working*: the
venue may hold the order or may yet receive it, so it counts as exposure at its worst. *Unresolved*: nobody
knows, so the symbol is frozen until the venue has answered. *Final*: nothing follows.

| state | is | may become |
|---|---|---|
"""


def pages() -> dict[str, str]:
    """File name and whole text of each page that this script writes."""
    denials = "".join(_denial(control) for control in sorted(CONTROLS, key=lambda each: each.code))
    states = "".join(_state(state) for state in OrderState)
    return {"denial-codes.md": _DENIALS + denials, "order-states.md": _STATES + states}


def _denial(control: Control) -> str:
    limits = ", ".join(f"`{name}`" for name in control.limits) or "-"
    kernel = f"{control.kernel.__module__.rpartition('.')[2]}.{control.kernel.__name__}"
    return f"| `{control.code.name}` | {control.code.explain} | {limits} | `{kernel}` |\n"


def _state(state: OrderState) -> str:
    kinds = {
        "unresolved": state in UNRESOLVED,
        "working": state in WORKING,
        "final": not TRANSITIONS[state],
    }
    following = ", ".join(f"`{each}`" for each in OrderState if each in TRANSITIONS[state])
    words = ", ".join(kind for kind, holds in kinds.items() if holds)
    return f"| `{state}` | {words or 'ours alone'} | {following or '-'} |\n"


if __name__ == "__main__":
    for _name, _text in pages().items():
        (FOLDER / _name).write_text(_text, encoding="utf-8")
