"""What the import contracts cannot see: calls that reach the clock, the disk, the network or chance."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

BUILTINS = {"open", "print", "input", "exec", "eval", "compile", "__import__", "breakpoint"}
CLOCK_ENDINGS = {
    "now",
    "utcnow",
    "today",
    "time_ns",
    "monotonic",
    "monotonic_ns",
    "perf_counter",
    "perf_counter_ns",
}
CLOCK_OWNERS = {"time", "datetime", "date", "Timestamp", "pd", "dt", "pandas"}
SEEDED = {"default_rng", "Generator", "SeedSequence", "PCG64", "Philox", "RandomState", "BitGenerator"}
FILE_METHODS = set(
    "tofile fromfile memmap loadtxt savetxt genfromtxt savez savez_compressed read_text read_bytes "
    "write_text write_bytes unlink mkdir rmdir read_pickle to_pickle read_csv to_csv read_parquet "
    "to_parquet read_json to_json read_sql to_sql read_excel to_excel read_feather to_feather read_hdf "
    "to_hdf read_table read_html read_xml".split()
)


def impurities(tree: ast.AST) -> list[str]:
    """Each reach outside, as "line: what"."""
    full_name = _import_aliases(tree)
    in_memory = _reads_of_memory(tree)
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in BUILTINS:
            found.append(f"{node.lineno}: {node.id}")
        elif isinstance(node, ast.Global):
            found.append(f"{node.lineno}: global {', '.join(node.names)}")
        elif isinstance(node, (ast.Attribute, ast.Name)):
            name = _dotted(node, full_name)
            if name and _reaches_out(name) and node not in in_memory:
                found.append(f"{node.lineno}: {name}")
        if isinstance(node, ast.Call) and _unseeded(node, full_name):
            found.append(f"{node.lineno}: a generator without a seed")
    return found


def _reads_of_memory(tree: ast.AST) -> set[ast.expr]:
    """The `np.load` of each `np.load(io.BytesIO(...))`, which touches no file."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    return {call.func for call in calls if ast.unparse(call.args[0]).startswith(("io.BytesIO(", "BytesIO("))}


def _import_aliases(tree: ast.AST) -> dict[str, str]:
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            aliases |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return aliases


def _dotted(node: ast.expr, full_name: dict[str, str]) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ".".join(["?", *reversed(parts)]) if parts else ""
    return ".".join([full_name.get(node.id, node.id), *reversed(parts)])


def _reaches_out(name: str) -> bool:
    head, *rest = name.split(".")
    if not rest:
        return False
    if name.startswith("numpy.random.") or head == "random":
        return rest[-1] not in SEEDED
    owner = name.split(".")[-2]
    clock = rest[-1] in CLOCK_ENDINGS and owner in CLOCK_OWNERS
    wall = name in {"time.time", "time.sleep", "time.localtime", "time.gmtime", "time.ctime"}
    return clock or wall or rest[-1] in FILE_METHODS or name in {"numpy.load", "numpy.save"}


def _unseeded(call: ast.Call, full_name: dict[str, str]) -> bool:
    name = _dotted(call.func, full_name)
    if not name.startswith("numpy.random.") or name.rpartition(".")[2] not in SEEDED:
        return False
    given = [*call.args, *(word.value for word in call.keywords)]
    return not given or any(isinstance(value, ast.Constant) and value.value is None for value in given)


def test_core_reaches_for_nothing_outside_its_arguments(package_trees: dict[Path, ast.Module]) -> None:
    core = {path: tree for path, tree in package_trees.items() if "core" in path.parts}
    assert len(core) > 5
    assert {str(path): found for path, tree in core.items() if (found := impurities(tree))} == {}


def test_services_leave_clock_disk_and_chance_to_their_ports(package_trees: dict[Path, ast.Module]) -> None:
    services = {path: tree for path, tree in package_trees.items() if "services" in path.parts}
    assert {str(path): found for path, tree in services.items() if (found := impurities(tree))} == {}


def test_no_draw_anywhere_in_the_package_is_without_a_seed(package_trees: dict[Path, ast.Module]) -> None:
    """Adapters and pages may look at the clock; chance is seeded everywhere. Keys are made by `secrets`."""
    assert len(package_trees) > 300
    found = {str(path): drawn for path, tree in package_trees.items() if (drawn := unseeded_draws(tree))}
    assert found == {}


def unseeded_draws(tree: ast.AST) -> list[str]:
    """Each use of global or unseeded chance, as "line: what"."""
    names = ("random", "numpy.random")
    full_name = _import_aliases(tree)
    found = [
        f"{node.lineno}: {name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.Name)
        and (name := _dotted(node, full_name)).rpartition(".")[0] in names
        and name.rpartition(".")[2] not in SEEDED
    ]
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [*found, *(f"{c.lineno}: a generator without a seed" for c in calls if _unseeded(c, full_name))]


@pytest.mark.parametrize(
    "source",
    [
        "import numpy as np\nnp.random.normal()",
        "from numpy import random\nrandom.rand(3)",
        "import random\nrandom.random()",
        "from random import shuffle\nshuffle([1])",
        "import numpy as np\nnp.random.default_rng()",
        "import numpy as np\nnp.random.default_rng(seed=None)",
    ],
)
def test_an_unseeded_draw_is_found(source: str) -> None:
    assert unseeded_draws(ast.parse(source))


@pytest.mark.parametrize(
    "source",
    [
        "import secrets\nsecrets.token_hex(16)",
        "import numpy as np\nnp.random.default_rng(seed)",
        "import numpy as np\ndef f(rng: np.random.Generator): return rng.normal()",
    ],
)
def test_a_seeded_draw_and_a_key_pass(source: str) -> None:
    assert unseeded_draws(ast.parse(source)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import datetime\ndatetime.datetime.now()",
        "from datetime import datetime as when\nwhen.utcnow()",
        "from datetime import date\nstamp = date.today",
        "import time\ntime.time()",
        "from time import monotonic\nimport time as t\nt.monotonic()",
        "import time as clock\nclock.time_ns()",
        "import pandas as pd\npd.Timestamp.now()",
        "import pandas as pd\npd.Timestamp.utcnow()",
        "import numpy as np\nnp.random.normal()",
        "import numpy as np\nnp.random.seed(1)",
        "from numpy import random\nrandom.rand(3)",
        "import numpy as np\nnp.random.default_rng()",
        "import numpy as np\nnp.random.default_rng(None)",
        "from numpy.random import default_rng\ndefault_rng()",
        "import random\nrandom.random()",
        "open('x')",
        "print('x')",
        "eval('1')",
        "__import__('os')",
        "import pandas as pd\npd.read_parquet('x')",
        "frame.to_parquet('x')",
        "make().write_text('x')",
        "import numpy as np\nnp.load('x')",
        "COUNT = 0\ndef f():\n    global COUNT\n    COUNT += 1",
    ],
)
def test_a_reach_outside_is_found(source: str) -> None:
    assert impurities(ast.parse(source))


@pytest.mark.parametrize(
    "source",
    [
        "import io\nimport numpy as np\nnp.load(io.BytesIO(b''), allow_pickle=False)",
        "import numpy as np\ndef f(generator: np.random.Generator): return generator.normal()",
        "import numpy as np\nnp.random.default_rng(7)",
        "now = 3\nlater = now + clock.now_ns()",
        "from datetime import datetime\ndatetime.fromisoformat('2020-01-01')",
        "bars.open[0]",
        "text = 'print open eval'",
    ],
)
def test_a_pure_expression_passes(source: str) -> None:
    assert impurities(ast.parse(source)) == []
