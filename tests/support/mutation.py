"""How many planted faults the tests of the order path find: ``make mutants``, or this file as a program.

    python tests/support/mutation.py                      all modules, from where the last run stopped
    python tests/support/mutation.py ledger oms           these modules only
    python tests/support/mutation.py --again ledger       judge anew what was left the last time
    python tests/support/mutation.py --fresh              forget what earlier runs found
    python tests/support/mutation.py --minutes 15 pretrade    stop then; what is judged is a fair draw
    python tests/support/mutation.py --write              write docs/reference/mutation.json and .md
    python tests/support/mutation.py --list ledger        the survivors of the last run, one a line

Each verdict goes into ``build/mutants/MODULE.jsonl`` when it is known, so a run may be stopped at any time. A
change of a module or of its tests begins a new file. A mutant that cannot be found by any test, because
it does the same as the original, is explained in ``docs/reference/mutants-left.toml``; the program fails when
one of these is found after all, or is no longer a mutant. It takes one core and about an hour in all.

Mutants are judged in the order of their ids, which are hashes: a run that stops has judged a uniform draw,
whose score has an interval (C. Clopper and E. Pearson, Biometrika 26, 1934).
"""

from __future__ import annotations

import argparse
import collections
import datetime
import hashlib
import json
import math
import os
import platform
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "reference" / "mutation.json"
LEFT = ROOT / "docs" / "reference" / "mutants-left.toml"
BUILDER = ROOT / "docs" / "reference" / "build_mutation.py"
WORK = ROOT / "build" / "mutants"
#: A module whose tests find less of its mutants fails.
LEAST = 0.90

if __name__ == "__main__":  # before anything is imported: kernels as plain Python, one thread, own plugins
    os.environ |= {
        "NUMBA_DISABLE_JIT": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }  # fmt: skip
    sys.path[:0] = [str(ROOT)]

from mutants import Mutant, mutants_of  # noqa: E402
from mutation_runs import Bench, Test, Verdict, judge  # noqa: E402


@dataclass(frozen=True)
class Module:
    """A module of the order path: its files, and the tests that shall find a fault in them.

    Attributes
    ----------
    first : tuple of str
        Tests of the module alone, which are asked first.
    more : tuple of str
        Tests that use it from outside.
    without : tuple of str
        Tests of these files that take longer than is waited for.
    """

    name: str
    files: tuple[str, ...]
    first: tuple[str, ...]
    more: tuple[str, ...]
    without: tuple[str, ...] = ()


MODULES = (
    Module(
        "orders", ("workbench/core/orders*",),
        ("tests/core/test_orders_edges.py", "tests/core/test_orders.py"),
        ("tests/services/test_order_steps.py", "tests/services/test_oms.py"),
    ),
    Module(
        "pretrade", ("workbench/core/pretrade/*",),
        (
            "tests/core/test_pretrade_tables.py", "tests/core/test_pretrade_edges.py",
            "tests/core/test_pretrade_rows.py", "tests/core/test_pretrade.py",
            "tests/core/test_pretrade_calls.py",
        ),
        (
            "tests/core/test_controls_catalogue.py", "tests/core/test_exposure.py",
            "tests/services/test_looks.py",
        ),
        (
            "tests/core/test_pretrade_calls.py::test_a_tighter_limit_never_permits_more",
            "tests/core/test_pretrade_calls.py::test_less_information_of_lately_never_permits_more",
            "tests/core/test_pretrade_calls.py::test_less_information_never_permits_more",
            "tests/core/test_pretrade_calls.py::test_the_order_of_symbols_does_not_matter",
            "tests/core/test_pretrade_calls.py::test_unrelated_symbols_may_come_in_any_order",
        ),
    ),
    Module(
        "ledger", ("workbench/core/ledger*",),
        ("tests/core/test_ledger_edges.py", "tests/core/test_ledger.py"),
        ("tests/services/test_oms.py", "tests/services/test_oms_corporate.py"),
    ),
    Module(
        "oms", ("workbench/services/oms*",),
        ("tests/services/test_oms_edges.py", "tests/services/test_oms.py"),
        (
            "tests/services/test_oms_answers.py", "tests/services/test_oms_corporate.py",
            "tests/services/test_order_steps.py", "tests/services/test_sending.py",
        ),
    ),
)  # fmt: skip


def files_of(module: Module, root: Path = ROOT) -> tuple[str, ...]:
    """The Python files of a module as they are now, whether it is a file or a package."""
    found = {path for pattern in module.files for path in root.glob(pattern) if path.suffix == ".py"}
    found |= {path for pattern in module.files for path in root.glob(f"{pattern}/**/*.py")}
    return tuple(sorted(path.relative_to(root).as_posix() for path in found))


def population(module: Module, root: Path = ROOT) -> list[Mutant]:
    """All mutants of a module as it is now."""
    return [
        one for path in files_of(module, root) for one in mutants_of(path, (root / path).read_text("utf-8"))
    ]


def explained(root: Path = ROOT) -> dict[str, dict[str, str]]:
    """The mutants that no test can find, by id, with the reason."""
    file = root / LEFT.relative_to(ROOT)
    return {one["id"]: one for one in tomllib.loads(file.read_text("utf-8")).get("mutant", [])}


# --- the record of a run ---------------------------------------------------------------------------


class Record:
    """Verdicts of one module, kept while its code and its tests stay the same."""

    def __init__(self, module: Module, *, fresh: bool) -> None:
        self.file = WORK / f"{module.name}.jsonl"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        texts = [ROOT / path for path in (*files_of(module), *module.first, *module.more)]
        digest = hashlib.sha256(b"\x1f".join(path.read_bytes() for path in texts)).hexdigest()
        lines = self.file.read_text("utf-8").splitlines() if self.file.exists() else [""]
        self.former = {row["id"]: row for row in map(json.loads, lines[1:])}
        if fresh or lines[0] != digest:
            self.file.write_text(digest + "\n", encoding="utf-8")
            self.rows: dict[str, dict[str, Any]] = {}
        else:
            self.rows = dict(self.former)

    def add(self, row: dict[str, Any]) -> None:
        """Keep a verdict, at once."""
        self.rows[row["id"]] = row
        with self.file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")


def run(
    module: Module, *, fresh: bool = False, again: bool = False, most_s: float = math.inf
) -> dict[str, dict[str, Any]]:
    """Judge the mutants of a module that have no verdict yet; all verdicts by id."""
    mutants = population(module)
    record = Record(module, fresh=fresh)
    if again:  # tests were added: what they found before they find now, what they did not is asked anew
        for row in record.former.values():
            if row["id"] not in record.rows:
                record.add(row)
    settled = {key for key, row in record.rows.items() if row["killed"] or not again} | (
        set(explained()) & set(record.former if again else ())
    )
    todo = sorted((one for one in mutants if one.identity not in settled), key=lambda one: one.identity)
    began, done, spent, killed = time.monotonic(), 0, 0.0, 0

    def told(mutant: Mutant, verdict: Verdict) -> None:
        nonlocal done, spent, killed
        row = {"id": mutant.identity, "killed": verdict.killed, "by": verdict.by}
        record.add({**row, "cpu_s": round(verdict.cpu_s, 2)})
        spent, killed = spent + verdict.cpu_s, killed + verdict.killed
        done += 1
        if not verdict.killed:
            print(f"  left: {line_of(mutant)}", flush=True)
        if done % 50 == 0 or done == len(todo):
            print(
                f"{module.name}: {done} of {len(todo)}, {killed} found, {spent:.0f} CPU s, "
                f"{time.monotonic() - began:.0f} s",
                flush=True,
            )

    def begun(tests: dict[str, Test]) -> None:
        out = [name for name, test in tests.items() if not test.passed]
        whole = sum(test.cpu_s for test in tests.values())
        print(f"{module.name}: {len(todo)} mutants, {len(tests)} tests of {whole:.1f} CPU s", flush=True)
        for name in out:
            print(f"  not asked, because it needs compiled kernels: {name}", flush=True)

    if todo:
        first = {path: module.first for path in files_of(module)}
        memory = Path("/dev/shm")  # noqa: S108  a folder in memory, where a flush costs nothing
        scratch = Path(tempfile.mkdtemp(prefix="mutants-", dir=memory if memory.is_dir() else None))
        try:
            tests = (*module.first, *module.more)
            code = _apart(Bench(ROOT, tests, todo, first, told, begun, scratch, most_s, module.without))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        if code:
            raise SystemExit(f"{module.name}: pytest ended with {code}")
        record.rows |= Record(module, fresh=False).rows
    return {one.identity: record.rows[one.identity] for one in mutants if one.identity in record.rows}


def _apart(bench: Bench) -> int:
    """Judge in a process of its own: pytest and the tests begin with nothing imported."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = judge(bench)
        finally:
            sys.stdout.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def line_of(mutant: Mutant) -> str:
    """A mutant in one line."""
    return (
        f"{mutant.identity} {mutant.path}:{mutant.first} {mutant.scope or '(import)'}: {mutant.operator}: "
        f"{mutant.before} => {mutant.after}"
    )


# --- the score -------------------------------------------------------------------------------------


def score(mutants: Iterable[Mutant], killed: Iterable[str], left: Iterable[str]) -> float:
    """Found mutants as a fraction of those that can be found; one without a verdict counts as not found."""
    names = {one.identity for one in mutants} - set(left)
    return len(names & set(killed)) / len(names) if names else 1.0


def score_now(module: Module, known: dict[str, Any]) -> float:
    """The score of the code as it is, by an earlier record; of a draw the lower end of its interval."""
    mutants, left = population(module), explained()
    if known["judged"] == known["mutants"]:
        return score(mutants, known["found"], left)
    drawn = {*known["found"], *known["not_found"]}
    mutants = [one for one in mutants if one.identity in drawn]
    return interval(score(mutants, known["found"], left), len({one.identity for one in mutants} - set(left)))[
        0
    ]


def interval(part: float, judged: int) -> tuple[float, float]:
    """The exact interval of 95 % of a part of so many that were drawn."""
    from scipy.stats import beta

    found = round(part * judged)
    low = float(beta.ppf(0.025, found, judged - found + 1)) if found else 0.0
    high = float(beta.ppf(0.975, found + 1, judged - found)) if found < judged else 1.0
    return low, high


def rot_of(
    rows: dict[str, dict[str, Any]], mutants: Iterable[Mutant], left: dict[str, dict[str, str]]
) -> list[str]:
    """What is wrong with the list of explained mutants, for the files of these mutants."""
    there = {one.identity: one for one in mutants}
    paths = {one.path for one in there.values()}
    wrong = [
        f"{key}: is found by {rows[key]['by']}, so it is no equivalent" for key in left
        if key in rows and rows[key]["killed"]
    ]  # fmt: skip
    wrong += [
        f"{key}: is no mutant any more"
        for key, one in left.items()
        if one["file"] in paths and key not in there
    ]
    return wrong


def summary(module: Module, rows: dict[str, dict[str, Any]], left: dict[str, Any]) -> dict[str, Any]:
    """What the page tells of one module."""
    mutants = population(module)
    judged = [one for one in mutants if one.identity in rows]
    found = [one.identity for one in judged if rows[one.identity]["killed"]]
    alive = [one for one in judged if one.identity not in set(found)]
    part, can_be = score(judged, found, left), len({one.identity for one in judged} - set(left))
    return {
        "files": list(files_of(module)),
        "tests": [*module.first, *module.more],
        "mutants": len(mutants),
        "judged": len(judged),
        "operators": dict(sorted(collections.Counter(one.operator for one in judged).items())),
        "equivalent": sum(one.identity in left for one in judged),
        "by_a_limit": sum(rows[key]["by"] == "time limit" for key in found),
        "cpu_s": round(sum(row["cpu_s"] for row in rows.values())),
        "score": round(part, 4),
        "interval": [round(end, 4) for end in interval(part, can_be)] if len(judged) < len(mutants) else [],
        "left": [
            {
                "file": one.path,
                "where": one.scope or "at import",
                "before": one.before[:120],
                "after": one.after[:120],
            }
            for one in alive
            if one.identity not in left
        ],
        "found": sorted(found),
        "not_found": [one.identity for one in alive],
    }


def this_run() -> dict[str, Any]:
    """The code and the interpreter of this run."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/reference/mut*")
    return {
        "commit": git("rev-parse", "--short=12", "HEAD"),
        "changed": bool(changed),
        "day": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "python": platform.python_version(),
    }


def main(arguments: list[str]) -> int:
    """Run, and fail below the least score or when the list of explained mutants has rotted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modules", nargs="*", help="modules to judge; all when none is named")
    for option in ("--again", "--fresh", "--write", "--list"):
        parser.add_argument(option, action="store_true")
    parser.add_argument("--minutes", type=float, default=math.inf)
    asked = parser.parse_args(arguments)
    chosen = [module for module in MODULES if not asked.modules or module.name in asked.modules]
    if len(chosen) < len(asked.modules):
        parser.error(f"the modules are {', '.join(module.name for module in MODULES)}")
    left, code, told = explained(), 0, {}
    for module in chosen:
        if asked.list:
            rows = Record(module, fresh=False).former
            for one in population(module):
                if one.identity in rows and not rows[one.identity]["killed"] and one.identity not in left:
                    print(line_of(one))
            continue
        rows = run(module, fresh=asked.fresh, again=asked.again, most_s=60.0 * asked.minutes)
        told[module.name] = summary(module, rows, left)
        print(f"{module.name}: {told[module.name]['score']:.1%}")
        wrong = rot_of(rows, population(module), left)
        print("".join(f"  {words}\n" for words in wrong), end="")
        code |= bool(wrong) | (min(told[module.name]["score"], *told[module.name]["interval"], 1.0) < LEAST)
    if asked.write and not code:
        known = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
        modules = {**known, **{name: {**this_run(), **one} for name, one in told.items()}}
        RESULTS.write_text(json.dumps(modules, indent=1) + "\n", encoding="utf-8")
        for name, text in runpy.run_path(str(BUILDER))["pages"]().items():
            (BUILDER.parent / name).write_text(text, encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
