"""The configuration file that ``workbench init`` writes: complete, commented, valid as it stands."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from enum import Enum
from typing import Any

from workbench.config.settings import leaves, sections

#: What the file sets although it is no default, because only the user can choose it.
_CHOSEN: dict[str, Any] = {
    "account": "demo",
    "strategy": "trend",
    "universe": ("AAPL", "FB", "GOOG", "IBM", "MSFT"),
    "seed": 20130102,
}
_HEAD = """\
# Settings of one desk. Later sources may add to this file but not contradict it: environment variables
# such as WORKBENCH_LIMITS__MAX_ORDER_SHARES, then overrides of a single call. Unknown names are errors.
# Secrets never stand here: set WORKBENCH_SECRETS__VENUE_KEY, or files in the folder WORKBENCH_SECRETS_DIR.
# `workbench config show` prints every value with its source.
"""


def _template() -> str:
    lines = [_HEAD]
    current = ""
    for key, leaf in leaves().items():
        section, _, name = key.rpartition(".")
        if section != current:
            heading = _first_line(sections()[section])
            lines += ["", f"# {heading}", f"[{section}]"]
            current = section
        comment = textwrap.wrap(leaf.description, 100, initial_indent="# ", subsequent_indent="# ")
        value = f"{name} = {toml_value(_CHOSEN.get(key, leaf.default))}"
        lines += [*comment, value]
    return "\n".join(lines) + "\n"


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


def toml_value(value: Any) -> str:
    """The value as TOML text; strings, numbers, booleans, tuples and mappings of strings."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, tuple):
        return "[" + ", ".join(json.dumps(item, ensure_ascii=False) for item in value) + "]"
    if isinstance(value, Mapping):
        pairs = (f"{json.dumps(key)} = {json.dumps(part)}" for key, part in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:_}" if abs(value) < 10_000_000 else str(value)
    return json.dumps(value, ensure_ascii=False)


DEFAULT_TOML = _template()
