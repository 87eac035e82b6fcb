"""Write ``events.md`` beside this file: every kind of event with its fields, its writers and its projections.

Run it after a kind was added or changed: ``python docs/reference/build_events.py`` or ``make docs``.
A test compares the page with what this script would write.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import workbench
from workbench.adapters.journal import projections
from workbench.adapters.journal.kinds import FIELDS
from workbench.adapters.journal.schema import PROJECTIONS

FOLDER = Path(__file__).parent
PACKAGE = Path(workbench.__file__).parent
#: Where kinds are declared, folded and read; none of these writes an event.
_NO_WRITER = (
    "adapters/journal/folds_",
    "core/rewind",
    "core/digest",
    "core/inheritance",
    "views",
    "screens/",
    "pages/",
    "testing/",
)
_MAKERS = ("Event", "_append")
_DECLARING = ("adapters/journal/kinds", "adapters/journal/projections")
_HEAD = """\
# Events

Written by `docs/reference/build_events.py`; do not edit.

The journal is a list of events that is only ever added to; each carries the hash of the one before. What the
desk knows is folded from them: a *projection* is a table that can be dropped and built anew
(`workbench journal migrate` does). A kind without a projection is read from the list itself.

Numbers are whole: money in micros (`_micro`), shares in billionths (`_nano`), times in nanoseconds since
1970, UTC (`_ns`). A field with a question mark may be missing.
"""


def pages() -> dict[str, str]:
    """File name and whole text of each page that this script writes."""
    wrote = writers()
    parts = [_HEAD]
    for family, kinds in groupby(sorted(FIELDS), key=lambda kind: kind.partition(".")[0]):
        parts.append(f"\n## {family}\n\n| kind | fields | written by | projections |\n|---|---|---|---|\n")
        for kind in kinds:
            fields = ", ".join(
                f"`{name}{'?' if optional else ''}`: {kind_of}"
                for name, (kind_of, optional) in FIELDS[kind].items()
            )
            parts.append(f"| `{kind}` | {fields} | {_listed(wrote[kind])} | {_listed(folded(kind))} |\n")
    return {"events.md": "".join(parts)}


def _listed(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "-"


def writers() -> dict[str, set[str]]:
    """Modules that name a kind where an event is made, by kind."""
    found: dict[str, set[str]] = defaultdict(set)
    built: dict[str, set[str]] = defaultdict(set)  # kinds that are put together, by the files that do
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE).with_suffix("").as_posix()
        if place.startswith(_NO_WRITER) or place in _DECLARING:
            continue
        tree, name = ast.parse(path.read_text(encoding="utf-8")), place.replace("/", ".")
        for kind in _made(tree):
            found[kind].add(name)
        for kind in _put_together(tree):
            built[kind].add(name)
    return {kind: found[kind] or built[kind] for kind in FIELDS}


def _made(tree: ast.Module) -> Iterator[str]:
    """Kinds in the first argument of `Event(...)`, or handed to a function of the file that makes one."""
    makers = {"Event"} | {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(part, ast.Call) and _name(part.func) == "Event" for part in ast.walk(node))
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in makers:
            for part in (part for argument in node.args for part in ast.walk(argument)):
                if isinstance(part, ast.Constant) and part.value in FIELDS:
                    yield str(part.value)


def _put_together(tree: ast.Module) -> Iterator[str]:
    """Kinds that a file which makes events holds as a text, or begins, as in `f"alert.{step}"`."""
    if not any(isinstance(node, ast.Call) and _name(node.func) in _MAKERS for node in ast.walk(tree)):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in FIELDS:
            yield str(node.value)
        elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
            head = str(node.values[0].value)
            yield from (kind for kind in FIELDS if head.endswith(".") and kind.startswith(head))


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def folded(kind: str) -> set[str]:
    """Projections that the fold of a kind names, in itself or in what it calls."""
    found: set[str] = set()
    waiting: list[Any] = [projections._FOLDS[kind]]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, str):
            found |= {one} & PROJECTIONS.keys()
        elif inspect.isfunction(one) and one.__module__.startswith("workbench.adapters.journal"):
            variables = inspect.getclosurevars(one)
            waiting += [*variables.nonlocals.values(), *variables.globals.values()]
            found |= set(_tables(ast.parse(textwrap.dedent(inspect.getsource(one)))))
    return found


def _tables(tree: ast.Module) -> Iterator[str]:
    """Projections that a function hands to the writer of rows."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            first = node.args[0]
            of_rows = isinstance(node.func.value, ast.Name) and node.func.value.id == "rows"
            if of_rows and isinstance(first, ast.Constant) and first.value in PROJECTIONS:
                yield str(first.value)


if __name__ == "__main__":
    for _file, _text in pages().items():
        (FOLDER / _file).write_text(_text, encoding="utf-8")
