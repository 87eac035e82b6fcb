"""Write ``api.md`` beside this file: every public name with its arguments, meaning and example.

Run it after a public name was added or changed: ``python docs/reference/build_api.py`` or ``make docs``.
A test compares the page with what this script would write, and runs the examples.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import workbench as wb
import workbench.extending
import workbench.testing

FOLDER = Path(__file__).parent
#: What the page calls each public module.
MODULES: dict[str, ModuleType] = {
    "wb": wb,
    "wb.tca": wb.tca,
    "wb.costs": wb.costs,
    "wb.overfitting": wb.overfitting,
    "wb.validation": wb.validation,
    "wb.drift": wb.drift,
    "wb.simulation": wb.simulation,
    "workbench.extending": workbench.extending,
    "workbench.testing": workbench.testing,
}
_HEAD = """\
# Public names

Written by `docs/reference/build_api.py` from the docstrings; do not edit. In a notebook:
`import workbench as wb`, then `wb.tca?`.

What stands here stays: functions may gain keyword arguments, never lose one. Everything else may change
between versions. Examples are run by tests, but for three: `wb.notebook` and `wb.start_job` need a kernel,
and `wb.validation.score_zoo` takes half a minute (the zoo has a page and a test of its own).
"""


def public(name: str) -> dict[str, Any]:
    """The functions and classes of a public module, by name; modules of the door have a part of their own."""
    module = MODULES[name]
    found = {one: getattr(module, one) for one in module.__all__}
    return {one: what for one, what in sorted(found.items()) if callable(what)}


def pages() -> dict[str, str]:
    """File name and whole text of each page that this script writes."""
    parts = [_HEAD]
    for name, module in MODULES.items():
        parts.append(f"\n## {name}\n\n{_paragraph(inspect.getdoc(module) or '')}\n")
        parts += [_entry(f"{name}.{one}", what) for one, what in public(name).items()]
    return {"api.md": "".join(parts)}


def _paragraph(text: str) -> str:
    return text.split("\n\n", 1)[0].replace("\n", " ")


def _entry(name: str, what: Any) -> str:
    try:
        arguments = re.sub(r" at 0x[0-9a-f]+", "", str(inspect.signature(what)))
    except (TypeError, ValueError):
        arguments = "(...)"
    arguments = re.sub(r"<factory>|<class '([\w.]+)'>", lambda found: found[1] or "...", arguments)
    described = "\n".join(_markdown(inspect.getdoc(what) or ""))
    signature = f"{name.rpartition('.')[2]}{arguments}"
    return f"\n### {name}\n\n```text\n{_folded(signature)}\n```\n\n{described}\n"


def _folded(signature: str) -> str:
    """One argument a line where a line would be too long."""
    if len(signature) <= 100:
        return signature
    head, _, rest = signature.partition("(")
    inside, _, result = rest.rpartition(")")
    depth, line, lines = 0, "", []
    for letter in inside:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            lines.append(f"    {line.strip()},")
            line = ""
        else:
            line += letter
    return "\n".join([f"{head}(", *lines, f"    {line.strip()},", f"){result}"])


def _markdown(text: str) -> Iterator[str]:
    """A NumPy docstring as Markdown: sections become bold, arguments a list, examples a block."""
    section, code = "", False
    rows = text.splitlines()
    for at, row in enumerate(rows):
        if at + 1 < len(rows) and row and re.fullmatch(r"-{3,}", rows[at + 1]):
            if code:
                yield "```"
                code = False
            section = row
            yield f"**{row}**"
            yield ""
        elif re.fullmatch(r"-{3,}", row):
            continue
        elif section == "Examples":
            starts = row.startswith(">>>") and not code
            if starts:
                yield "```python"
                code = True
            yield row
        elif section and row and not row.startswith(" "):
            name, colon, kind = row.partition(" : ")
            yield f"- `{name}`: {kind}" if colon else f"- {row}"
        else:
            yield f"  {row.strip()}" if section and row.strip() else row
    if code:
        yield "```"


if __name__ == "__main__":
    for _file, _text in pages().items():
        (FOLDER / _file).write_text(_text, encoding="utf-8")
