"""Judges mutants by tests, each in a process of its own that is forked when everything is imported.

A mutant is in the memory of its process only: no file changes, so the code hash of a desk stays what it is
and a run can stop anywhere. Kernels run as plain Python, because a compiled one would have to be compiled
for each mutant.

A fault in a function takes the function's place in the imported module, which costs next to nothing. A
fault that acts while modules are imported (tables, constants, defaults, and functions that are called then)
needs them imported anew, in the forked process.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import itertools
import json
import math
import os
import resource
import shutil
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import pytest
from mutants import Mutant, function_code, mutated

#: A mutant gets this much more CPU time than its tests take, and a grace; it hangs when the wall passes.
SLOWER, GRACE_S, WALL_S = 10.0, 5.0, 300.0
#: Tests that are asked about one mutant take this long in all; what they do not find counts as not found.
PATIENCE_S = 20.0
#: The lines of so many calls of a function are noted in each test; to note all takes longer than the rest.
MOST_CALLS = 64
MOST_BYTES = 8 * 2**30
OPTIONS = (
    "-q", "-s", "--tb=no", "-p", "no:cacheprovider", "-p", "_hypothesis_pytestplugin",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",
)  # fmt: skip


@dataclass
class Test:
    """What a test did with the original: how long it took and which lines of the mutated files it ran."""

    cpu_s: float
    passed: bool
    lines: dict[str, set[int]]


@dataclass
class Verdict:
    """killed by a test, at import, by a time limit or a crash; or survived."""

    killed: bool
    by: str
    cpu_s: float


@dataclass
class Bench:
    """One module under test: its files, their mutants, and the tests that shall find them.

    Attributes
    ----------
    first : dict of str to tuple of str
        Test files that are asked first about faults that act at import, for each mutated file; the others
        are asked when these found nothing.
    """

    root: Path
    tests: Sequence[str]
    mutants: Sequence[Mutant]
    first: dict[str, tuple[str, ...]]
    told: Callable[[Mutant, Verdict], None]
    begun: Callable[[dict[str, Test]], None] = lambda tests: None
    scratch: Path = Path()
    most_s: float = math.inf
    without: tuple[str, ...] = ()
    at_import: set[tuple[str, str]] = field(default_factory=set)

    def paths(self) -> set[str]:
        """The mutated files."""
        return {one.path for one in self.mutants}


def judge(bench: Bench) -> int:
    """Collect the tests once, learn what they do with the original, and judge every mutant; exit code."""
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(bench.scratch / "hypothesis")
    _find_quickly()
    tracer = _Calls({str(bench.root / path): path for path in bench.paths()}, bench.at_import)
    arguments = [*OPTIONS, f"--basetemp={bench.scratch / 'tmp'}", *bench.tests]
    arguments += [f"--deselect={name}" for name in bench.without]
    sys.settrace(tracer)
    try:
        return int(pytest.main(arguments, plugins=[_Judge(bench)]))
    finally:
        sys.settrace(None)


def _find_quickly() -> None:
    """Random tests of a run are the same for every mutant, and do not look for a smaller example."""
    from hypothesis import Phase, settings

    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutants", derandomize=True, database=None, phases=phases, deadline=None)
    settings.load_profile("mutants")


class _Calls:
    """A trace that notes which functions of the mutated files are called while tests are collected."""

    def __init__(self, paths: dict[str, str], found: set[tuple[str, str]]) -> None:
        self.paths, self.found = paths, found

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if code.co_filename in self.paths:
            self.found.add((self.paths[code.co_filename], code.co_qualname))


class _Judge:
    """The loop over mutants in place of pytest's loop over tests."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.known: dict[str, Test] = {}
        self.killers: dict[tuple[str, str], list[str]] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        sys.settrace(None)
        if session.testsfailed:
            raise session.Interrupted("tests cannot be collected")
        self.session = session
        self.items = {item.nodeid: item for item in session.items}
        self.known = self._original(session)
        self.bench.begun(self.known)
        sources = {path: (self.bench.root / path).read_text("utf-8") for path in self.bench.paths()}
        began = time.monotonic()
        for mutant in self.bench.mutants:
            if time.monotonic() - began > self.bench.most_s:
                break
            code = compile(
                mutated(sources[mutant.path], mutant.way, mutant.choice), str(self.bench.root / mutant.path),
                "exec", dont_inherit=True,
            )  # fmt: skip
            function = self._function(mutant)
            verdict = self._in_place(mutant, function, code) if function else self._anew(mutant, code)
            self.bench.told(mutant, verdict)
        return True

    # --- the original ----------------------------------------------------------------------------

    def _original(self, session: pytest.Session) -> dict[str, Test]:
        file = self.bench.scratch / "original.json"

        def run() -> int:
            watch = _Watch({str(self.bench.root / path): path for path in self.bench.paths()})
            session.config.pluginmanager.register(watch)
            _run_all(list(self.items.values()), stop=lambda: False)
            lines = {name: {p: sorted(n) for p, n in one.lines.items()} for name, one in watch.tests.items()}
            tests = {name: (one.cpu_s, one.passed, lines[name]) for name, one in watch.tests.items()}
            file.write_text(json.dumps(tests), encoding="utf-8")
            return 0

        code, _, _ = self._fork(run, cpu_s=3_600.0, wall_s=7_200.0)
        if code != 0:
            raise RuntimeError(f"the tests of the original code ended with {code}")
        told = json.loads(file.read_text(encoding="utf-8"))
        return {
            name: Test(cpu_s, passed, {path: set(numbers) for path, numbers in lines.items()})
            for name, (cpu_s, passed, lines) in told.items()
        }

    # --- one mutant ------------------------------------------------------------------------------

    def _function(self, mutant: Mutant) -> FunctionType | None:
        if not mutant.scope or _was_called(mutant, self.bench.at_import):
            return None
        return live_function(_module_at(self.bench.root / mutant.path), mutant.scope)

    def _in_place(self, mutant: Mutant, function: FunctionType, code: CodeType) -> Verdict:
        before = self.killers.setdefault((mutant.path, mutant.scope), [])
        lines = set(range(mutant.first, mutant.last + 1))
        names = [
            name
            for name, test in self.known.items()
            if test.passed and test.lines.get(mutant.path, set()) & lines
        ]
        names = self._ordered(mutant, names, before)
        file = self.bench.scratch / "killer"
        file.unlink(missing_ok=True)

        def run() -> int:
            function.__code__ = function_code(code, mutant.scope)
            failed = _Failed(file)
            items = [self.items[name] for name in names]
            items[0].config.pluginmanager.register(failed)
            _run_all(items, stop=lambda: bool(failed.name))
            return int(bool(failed.name))

        if not names:
            return Verdict(False, "", 0.0)
        verdict = self._verdict(run, file, names)
        if verdict.killed:
            before.append(verdict.by)
        return verdict

    def _ordered(self, mutant: Mutant, names: list[str], killers: list[str]) -> list[str]:
        """Those that found a neighbour, the module's own in the order of the table, then the quickest."""
        own = {file: at for at, file in enumerate(self.bench.first.get(mutant.path, ()))}

        def rank(name: str) -> tuple[int, int, float]:
            file = name.partition("::")[0]
            return (-killers.count(name), own.get(file, len(own)), self.known[name].cpu_s)

        ordered = sorted(names, key=rank)
        spent = itertools.accumulate(self.known[name].cpu_s for name in ordered)
        return [name for name, until in zip(ordered, spent, strict=True) if until <= PATIENCE_S] or ordered[
            :1
        ]

    def _anew(self, mutant: Mutant, code: CodeType) -> Verdict:
        first = self.bench.first.get(mutant.path, tuple(self.bench.tests))
        spent = 0.0
        for files in (first, tuple(name for name in self.bench.tests if name not in first)):
            names = [
                name for name, test in self.known.items() if test.passed and name.partition("::")[0] in files
                and (files == first or mutant.path in test.lines)
            ]  # fmt: skip
            file = self.bench.scratch / "killer"
            file.unlink(missing_ok=True)

            def run(files: tuple[str, ...] = files, names: list[str] = names, file: Path = file) -> int:
                _forget(self.bench.root)
                sys.meta_path.insert(0, _Planted(self.bench.root / mutant.path, code))
                items = {item.nodeid: item for item in self.session.perform_collect(files)}
                if self.session.testsfailed:
                    return 1
                failed = _Failed(file)
                self.session.config.pluginmanager.register(failed)
                # a name that a fault has changed is a new test; one that fails on the original is never asked
                new = [name for name in items if name not in self.known] if files == first else []
                ordered = [*self._ordered(mutant, names, []), *new]
                _run_all([items[name] for name in ordered if name in items], stop=lambda: bool(failed.name))
                return int(bool(failed.name))

            if names:
                verdict = self._verdict(run, file, names)
                spent += verdict.cpu_s
                if verdict.killed:
                    return Verdict(True, verdict.by, spent)
        return Verdict(False, "", spent)

    def _verdict(self, run: Callable[[], int], file: Path, names: Iterable[str]) -> Verdict:
        usual = sum(self.known[name].cpu_s for name in names)
        code, cpu_s, by_signal = self._fork(run, cpu_s=SLOWER * usual + GRACE_S, wall_s=WALL_S)
        if by_signal:
            late = by_signal in (signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL)
            return Verdict(True, "time limit" if late else f"signal {by_signal}", cpu_s)
        if code not in (0, 1):
            raise RuntimeError((self.bench.scratch / "trouble").read_text(encoding="utf-8"))
        by = file.read_text(encoding="utf-8") if file.exists() else "import"
        return Verdict(code != 0, by if code else "", cpu_s)

    def _fork(self, run: Callable[[], int], *, cpu_s: float, wall_s: float) -> tuple[int, float, int]:
        """Exit code, CPU seconds and signal of a forked process that does something."""
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            code = 3
            try:
                _confine(cpu_s, wall_s)
                code = int(run())
            except BaseException:
                (self.bench.scratch / "trouble").write_text(traceback.format_exc(), encoding="utf-8")
            finally:
                os._exit(code)
        _, status, used = os.wait4(pid, 0)
        for folder in self.bench.scratch.iterdir():
            if folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)
        by_signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, by_signal


def live_function(module: ModuleType, scope: str) -> FunctionType | None:
    """The function of that qualified name in an imported module, below property, cache and the like."""
    found: Any = module
    for name in scope.split("."):
        found = inspect.getattr_static(found, name, None)
    for below in ("fget", "__func__", "func", "__wrapped__"):
        found = inspect.getattr_static(found, below, None) or found
    return found if isinstance(found, FunctionType) and found.__qualname__ == scope else None


def _module_at(path: Path) -> ModuleType:
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) == str(path):
            return module
    raise LookupError(f"no test imports {path}")


def _was_called(mutant: Mutant, called: Collection[tuple[str, str]]) -> bool:
    return (mutant.path, mutant.scope) in called


def _confine(cpu_s: float, wall_s: float) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    limit = max(1, int(time.process_time() + cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, wall_s)


def _run_all(items: list[pytest.Item], *, stop: Callable[[], bool]) -> None:
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if stop():
            return


def _forget(root: Path) -> None:
    """Everything of the project is imported anew; this tool and the libraries stay."""
    own = {__name__, "mutants", "mutation", "__main__"}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        package = not file and name.partition(".")[0] in ("workbench", "tests")
        ours = file.startswith(f"{root}{os.sep}") and "site-packages" not in file
        fixtures = name.rpartition(".")[2] == "conftest"  # known to the session, which stays
        if name not in own and not fixtures and (package or ours):
            del sys.modules[name]


class _Planted(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one file of the project with other code."""

    def __init__(self, path: Path, code: CodeType) -> None:
        self.path, self.code = path, code

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.origin != str(self.path):
            return None
        return importlib.util.spec_from_file_location(
            name, self.path, loader=self, submodule_search_locations=spec.submodule_search_locations
        )

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, module.__dict__)  # noqa: S102


class _Failed:
    """Writes down the first test that failed."""

    def __init__(self, file: Path) -> None:
        self.file, self.name = file, ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.name:
            self.name = report.nodeid
            self.file.write_text(report.nodeid, encoding="utf-8")


class _Watch:
    """Notes time, outcome and lines of every test."""

    def __init__(self, paths: dict[str, str]) -> None:
        self.paths = paths
        self.tests: dict[str, Test] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        now = self.tests[item.nodeid] = Test(0.0, True, {})

        def line(frame: FrameType, event: str, argument: object) -> Any:
            if event == "line":
                now.lines.setdefault(self.paths[frame.f_code.co_filename], set()).add(frame.f_lineno)
            return line

        def call(frame: FrameType, event: str, argument: object) -> Any:
            if frame.f_code.co_filename not in self.paths or calls[frame.f_code] >= MOST_CALLS:
                return None
            calls[frame.f_code] += 1
            now.lines.setdefault(self.paths[frame.f_code.co_filename], set()).add(frame.f_lineno)
            return line

        calls: Counter[CodeType] = Counter()
        began = time.process_time()
        threading.settrace(call)
        sys.settrace(call)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]
            now.cpu_s = time.process_time() - began

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self.tests[report.nodeid].passed = False
