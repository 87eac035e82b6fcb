"""Write ``controls.md`` and ``acceptance.md`` beside this file: each claim with its code and its tests.

The rows of the control matrix are declared in ``controls.toml``; every anchor in them is looked up here, in
the package, the settings, the tests and the documents. The acceptance matrix needs no list: what is public
is read from the package and the command line, and which test names it from the syntax of the tests.

Run it after a control, a public name, a command or their tests changed: ``make docs``. A test compares the
pages with what this script would write, and fails on a lost anchor.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).parent
TABLE = FOLDER / "controls.toml"
ROWS = 62
#: Keys of a row; the lists may be empty only while the row is open, settings always.
TEXTS = ("title", "source", "control", "runbook", "person", "open")
LISTS = ("code", "setting", "reason", "acts", "fails_closed", "dashboard")
NEEDED = ("code", "reason", "acts", "fails_closed", "dashboard", "runbook")
MODULES = ("tca", "costs", "overfitting", "validation", "drift", "simulation")
SHOWN = 3


@dataclass(frozen=True)
class Tests:
    """The test functions below a folder, and what each of them names.

    Attributes
    ----------
    ids : set of str
        "tests/file.py::name" of every function; methods as "file.py::Class::name".
    names : mapping of str to mapping
        Test id -> identifiers and texts in its body, and modules its file imports.
    """

    ids: set[str] = field(default_factory=set)
    names: dict[str, tuple[frozenset[str], frozenset[str], frozenset[str]]] = field(default_factory=dict)


# --- reading the tests --------------------------------------------------------------------------------


@cache
def read_tests(root: Path) -> Tests:
    """Every test of the project by its syntax; nothing is imported or run."""
    found = Tests()
    contracts = sorted((root / "workbench" / "testing").glob("*_contract.py"))
    for path in [*sorted((root / "tests").rglob("test_*.py")), *contracts]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        place = path.relative_to(root).as_posix()
        parts, imported = _parts(tree), frozenset(_imports(tree))
        aliases = {alias: name for alias, name in _aliases(tree) if alias != name}
        for name, node in _functions(tree):
            found.ids.add(f"{place}::{name}")
            if not node.name.startswith("test"):
                continue
            used = _reached(node, parts)
            words = {word for part in used for word in _words(part)}
            words |= {aliases[word] for word in words & aliases.keys()}
            texts = frozenset(text for part in used for text in _texts(part))
            found.names[f"{place}::{name}"] = (frozenset(words), texts, imported)
    return found


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from (
                (f"{node.name}::{inner.name}", inner)
                for inner in node.body
                if isinstance(inner, ast.FunctionDef)
            )


def _parts(tree: ast.Module) -> dict[str, ast.AST]:
    """What a test may lean on in its own file: fixtures, functions, classes and constants, by name."""
    found: dict[str, ast.AST] = {}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = node
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [part for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]
            found |= {name.id: node for name in names}
    return found


def _reached(node: ast.AST, parts: Mapping[str, ast.AST]) -> list[ast.AST]:
    """The node and everything of its file that it leans on, near or far."""
    reached, waiting = [node], list(_words(node))
    seen: set[str] = set()
    while waiting:
        word = waiting.pop()
        if word in parts and word not in seen:
            seen.add(word)
            reached.append(parts[word])
            waiting += _words(parts[word])
    return reached


def _aliases(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ((alias.asname or alias.name, alias.name) for alias in node.names)


def _words(node: ast.AST) -> set[str]:
    """Identifiers in the node: names, attributes, and parameters, which may be fixtures."""
    return {
        word
        for part in ast.walk(node)
        for word in (
            [part.id] if isinstance(part, ast.Name) else [part.attr] if isinstance(part, ast.Attribute)
            else [part.arg] if isinstance(part, ast.arg) else []
        )
    }  # fmt: skip


def _texts(node: ast.AST) -> set[str]:
    """Text constants, alone and, of each call, its leading ones joined: `typed(x, "jobs", "run")`."""
    found = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            found.add(part.value)
        elif isinstance(part, (ast.Call, ast.List, ast.Tuple)):
            inside = part.args if isinstance(part, ast.Call) else part.elts
            said = [
                one.value for one in inside if isinstance(one, ast.Constant) and isinstance(one.value, str)
            ]
            found.add(" ".join(said))
    return found


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


# --- the control matrix -------------------------------------------------------------------------------


def load_table(path: Path = TABLE) -> dict[str, Any]:
    """The declared table: "row" by number and "promise" by name."""
    with path.open("rb") as file:
        return tomllib.load(file)


def problems(table: Mapping[str, Any], root: Path = ROOT) -> list[str]:
    """Every claim of the table that the project does not bear out, in words; empty = it does."""
    tests, found = read_tests(root), []
    rows = table.get("row", {})
    missing = [number for number in range(1, ROWS + 1) if str(number) not in rows]
    if missing or len(rows) > ROWS:
        found.append(f"rows {missing} are missing, or there are more than {ROWS}")
    for number, row in rows.items():
        where = f"row {number}"
        odd = set(row) ^ {*TEXTS, *LISTS}
        found += [f"{where}: the keys {sorted(odd)} are missing or unknown"] if odd else []
        found += [f"{where}: {what}" for what in _wrong(row, tests, root)] if not odd else []
    for name, promise in table.get("promise", {}).items():
        checks = {**dict.fromkeys(TEXTS, ""), **dict.fromkeys(LISTS, ()), **promise, "open": "a promise"}
        found += [f"promise {name}: {what}" for what in _wrong(checks, tests, root)]
        found += [] if promise["code"] and promise["acts"] else [f"promise {name}: no code or no test"]
    return found


def _wrong(row: Mapping[str, Any], tests: Tests, root: Path) -> Iterator[str]:
    if not row["open"]:
        yield from (f"{key} is empty, and nothing is said to be open" for key in NEEDED if not row[key])
    yield from (f"code {anchor}: {why}" for anchor in row["code"] if (why := _anchor_trouble(anchor, root)))
    yield from (f"setting {key} does not exist" for key in row["setting"] if key not in _settings())
    yield from (f"reason {one}: {why}" for one in row["reason"] if (why := _reason_trouble(one, tests, root)))
    yield from (
        f"test {one} does not exist" for one in (*row["acts"], *row["fails_closed"]) if one not in tests.ids
    )
    yield from (f"dashboard {one} does not exist" for one in row["dashboard"] if not _is_shown(one, root))
    if row["runbook"] and not (root / row["runbook"]).is_file():
        yield f"runbook {row['runbook']} does not exist"


@cache
def _settings() -> frozenset[str]:
    from workbench.config import leaves, secret_keys

    return frozenset({*leaves(), *secret_keys()})


def _anchor_trouble(anchor: str, root: Path) -> str:
    """Why the anchor "module:object", or a file's path, leads nowhere; "" when it leads somewhere."""
    module, colon, name = anchor.partition(":")
    if not colon:
        return "" if (root / anchor).is_file() else "there is no such file"
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        return str(error)
    return ""


def _reason_trouble(reason: str, tests: Tests, root: Path) -> str:
    """Why nothing in the project gives this reason; "" when something does."""
    from workbench import errors
    from workbench.bootstrap.report import KINDS
    from workbench.core.pretrade import DenialCode

    kind, _, name = reason.partition(":")
    known = {
        "denial": lambda: name in DenialCode.__members__,
        "error": lambda: isinstance(getattr(errors, name, None), type),
        "report": lambda: name in KINDS,
        "halt": lambda: _is_said(name, root),
        "alert": lambda: _is_said(name, root),
        "check": lambda: _is_said(name, root),
        "gate": lambda: _is_said(name, root) or any(one.endswith(f"::{name}") for one in tests.ids),
    }
    if kind not in known or not name:
        return f"write it as one of {', '.join(known)}, a colon and a name"
    return "" if known[kind]() else "nothing in the package says so"


def _is_said(text: str, root: Path) -> bool:
    return any(text in said for said in _said_by(root))


@cache
def _said_by(root: Path) -> frozenset[str]:
    """Every text constant of the package."""
    return frozenset(
        node.value
        for path in (root / "workbench").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _is_shown(place: str, root: Path) -> bool:
    """Whether the page shows a panel of that name, or the command exists."""
    page, _, panel = place.partition(": ")
    if page == "command":
        words = panel.removeprefix("workbench ").split(" --")[0].strip()
        return words in _commands()
    app = root / "apps" / f"{page}.py"
    if not app.is_file() or not panel:
        return False
    sources = [
        app,
        root / "workbench" / "screens" / f"{page}.py",
        *(root / "workbench" / "pages").glob("*.py"),
    ]
    return any(panel in source.read_text(encoding="utf-8") for source in sources if source.is_file())


@cache
def _commands() -> dict[str, Any]:
    from workbench.cli.app import build, commands

    return dict(commands(build()))


_CONTROLS = """\
# Control matrix

Written by `docs/reference/build_controls.py` from `docs/reference/controls.toml`; do not edit. Every anchor
below is looked up when the tests run: an object that cannot be imported, a setting, a denial code, a test, a
page or a runbook that is gone fails them.

The rows follow a catalogue of what regulators and industry bodies ask of automated trading. Sources: F15 =
FIA Guide, March 2015; F24 = FIA Best Practices, July 2024; PTG = FIA PTG 2010; M = 17 CFR 240.15c3-5; R = RTS
6 (EU 2017/589); N = FINRA 15-09; CME = exchange practice; seed = our own. They bind brokers and firms, not
this program: they are used as a design template, and no compliance is claimed.

**{done} of {rows} rows are done, {open} are open.** A done row names its code, acts in a test, fails closed
in a test when its input is missing, stale or absurd, can be seen, and has a page that says what to do; a
row marked `done *` also names what only a person or a venue can do. An open row says what is missing; what it
names already exists.

| row | control | source | state |
|---|---|---|---|
"""


def controls_page(table: Mapping[str, Any]) -> str:
    """The control matrix as Markdown."""
    rows = sorted(table["row"].items(), key=lambda item: int(item[0]))
    opened = sum(1 for _, row in rows if row["open"])
    text = _CONTROLS.format(rows=len(rows), open=opened, done=len(rows) - opened)
    for number, row in rows:
        state = "open" if row["open"] else "done *" if row["person"] else "done"
        text += f"| [{number}](#row-{number}) | {row['title']} | {row['source']} | {state} |\n"
    return text + "".join(_control(number, row) for number, row in rows)


def _control(number: str, row: Mapping[str, Any]) -> str:
    lines = [f"\n## Row {number}\n\n**{row['title']}.** {row['control']}\n"]
    if row["open"]:
        lines.append(f"- **open**: {row['open']}")
    for key, word in (("code", "code"), ("setting", "settings"), ("reason", "says"), ("acts", "acts"),
                      ("fails_closed", "fails closed"), ("dashboard", "to be seen")):  # fmt: skip
        if row[key]:
            lines.append(f"- {word}: " + ", ".join(f"`{one}`" for one in row[key]))
    if row["person"]:
        lines.append(f"- not the machine's: {row['person']}")
    if row["runbook"]:
        place = row["runbook"].removeprefix("docs/")
        lines.append(f"- what to do: [{place}](../{place})")
    return "\n".join(lines) + "\n"


# --- the acceptance matrix ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Capability:
    """Something that a user can reach, where it is made, and the tests that name it."""

    kind: str
    name: str
    code: str
    tests: tuple[str, ...]


def capabilities(root: Path = ROOT) -> list[Capability]:
    """Everything public: names, commands, notebooks, pages and jobs, with the tests that name each."""
    tests = read_tests(root)
    return [*_public_names(tests), *_command_line(tests), *_notebooks(root, tests), *_pages(root, tests)]


def _public_names(tests: Tests) -> Iterator[Capability]:
    import workbench

    for name in sorted(workbench.__all__):
        home = workbench._HOME_OF.get(name, "workbench")
        yield Capability("name", f"wb.{name}", home, _naming(tests, name, "workbench"))
    for short in MODULES:
        module = importlib.import_module(f"workbench.{short}")
        named = {name: _naming(tests, name, short) for name in sorted(module.__all__)}
        for name, wanted in _through_results(module, named).items():
            home = getattr(getattr(module, name), "__module__", module.__name__)
            yield Capability("function", f"wb.{short}.{name}", home, wanted)


def _through_results(module: Any, named: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The tests of what takes, returns or holds it, for each type that no test needs to name."""
    for _ in named:
        for name, wanted in named.items():
            if wanted or not isinstance(getattr(module, name), type):
                continue
            makers = [made for made in named if named[made] and name in _types_of(getattr(module, made))]
            named[name] = tuple(sorted(test for maker in makers for test in named[maker]))
    return named


def _types_of(made: Any) -> set[str]:
    """Names of the types that a function takes or returns, or that a class holds and its methods do."""
    kinds = made.__mro__ if isinstance(made, type) else ()
    members = [made, *kinds, *(member for kind in kinds for member in vars(kind).values())]
    notes = [note for each in members for note in (getattr(each, "__annotations__", None) or {}).values()]
    return set(re.findall(r"\w+", " ".join(map(str, notes))))


def _naming(tests: Tests, name: str, part: str) -> tuple[str, ...]:
    """Tests that use the name, in files that import the package, or the part of it that makes the name."""

    def uses_it(one: str, words: Any, texts: Any, modules: Any) -> bool:
        reaches = any(part in module.split(".") or module == "workbench" for module in modules)
        return reaches and (name in words or name in texts)

    return _those(tests, uses_it)


def _those(tests: Tests, wanted: Callable[..., bool]) -> tuple[str, ...]:
    return tuple(sorted(one for one, named in tests.names.items() if wanted(one, *named)))


def _command_line(tests: Tests) -> Iterator[Capability]:
    for path, command in _commands().items():

        def types_it(one: str, words: Any, texts: Any, modules: Any, path: str = path) -> bool:
            types = any(
                part in module for module in modules for part in ("command_line", "cli", "subprocess")
            )
            return types and any(text == path or text.startswith(f"{path} ") for text in texts)

        yield Capability("command", f"workbench {path}", command.callback.__module__, _those(tests, types_it))


def _notebooks(root: Path, tests: Tests) -> Iterator[Capability]:
    judge = "tests/architecture/test_notebooks_and_apps.py"
    runner = tuple(one for one in sorted(tests.names) if one.startswith(judge))
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        last = [cell for cell in cells if cell["cell_type"] == "code"][-1]
        claims = "assert " in "".join(last["source"])
        yield Capability("notebook", path.name, f"notebooks/{path.name}", runner if claims else ())
    with (root / "papermill-jobs" / "jobs.toml").open("rb") as file:
        jobs = tomllib.load(file)
    for name, job in sorted(jobs.items()):

        def names_it(one: str, words: Any, texts: Any, modules: Any, name: str = name) -> bool:
            return any(name in text for text in texts)

        yield Capability("job", name, f"papermill-jobs/{job['notebook']}", _those(tests, names_it))


def _pages(root: Path, tests: Tests) -> Iterator[Capability]:
    for path in sorted((root / "apps").glob("*.py")):

        def looks_at_it(one: str, words: Any, texts: Any, modules: Any, name: str = path.stem) -> bool:
            return one.startswith("tests/apps/") and (name in texts or f"{name.capitalize()}Screen" in words)

        yield Capability("page", path.stem, f"apps/{path.name}", _those(tests, looks_at_it))


def unproved(found: list[Capability]) -> list[str]:
    """Capabilities that no test names."""
    return [f"{one.kind} {one.name}" for one in found if not one.tests]


_ACCEPTANCE = """\
# Acceptance matrix

Written by `docs/reference/build_controls.py`; do not edit. The promises are declared in
`docs/reference/controls.toml`; everything else is read from the package, the command line and the syntax of
the tests, so that a public name without a test that names it fails the tests. Of more than {shown} tests the
first {shown} by name are listed.

## The five promises

| promise | in one line | kept by | proved by |
|---|---|---|---|
"""
_HEADINGS = {
    "name": "Names of `import workbench as wb`",
    "function": "Functions and classes of the public modules",
    "command": "Commands",
    "notebook": "Notebooks: `make notebooks` runs each; its last cell asserts its claims",
    "job": "Jobs",
    "page": "Pages",
}


def acceptance_page(table: Mapping[str, Any], found: list[Capability]) -> str:
    """The acceptance matrix as Markdown."""
    text = _ACCEPTANCE.format(shown=SHOWN)
    for promise in table["promise"].values():
        code, acts = (", ".join(f"`{one}`" for one in promise[key]) for key in ("code", "acts"))
        text += f"| **{promise['title']}** | {promise['control']} | {code} | {acts} |\n"
    for kind, heading in _HEADINGS.items():
        text += f"\n## {heading}\n\n| what | made in | named by |\n|---|---|---|\n"
        for one in (each for each in found if each.kind == kind):
            named = ", ".join(f"`{test.removeprefix('tests/')}`" for test in one.tests[:SHOWN])
            text += f"| `{one.name}` | `{one.code}` | {named or '**nothing**'} |\n"
    return text


def pages() -> dict[str, str]:
    """File name and whole text of each page that this script writes."""
    table = load_table()
    return {"controls.md": controls_page(table), "acceptance.md": acceptance_page(table, capabilities())}


if __name__ == "__main__":
    for _name, _text in pages().items():
        (FOLDER / _name).write_text(_text, encoding="utf-8")
    for _problem in problems(load_table()):
        print(_problem, file=sys.stderr)
