"""Worlds that several tests need; each test gets a copy of its own."""

from __future__ import annotations

import fcntl
import gc
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from workbench.kernel_cache import name_kernel_cache

name_kernel_cache()

from workbench.config import Settings, load_settings  # noqa: E402

if TYPE_CHECKING:
    from places import Place, PostgresForTests

sys.path.insert(0, str(Path(__file__).parent / "support"))
# no test is about wall time: on a busy machine the same example takes what it takes
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--order-seed", type=int, default=None, metavar="N",
        help="run files, and the tests of each file, in an order drawn from this number",
    )  # fmt: skip


@pytest.hookimpl(tryfirst=True)  # pytest then brings together what shares a fixture
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files that wait or compute for long begin first, so that no worker ends with one alone.

    With `--order-seed` the order is drawn: no test may need another one to have run before it.
    """
    seed = config.getoption("order_seed")
    draw = random.Random(seed)
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    weights = {
        path: draw.random() if seed is not None else -sum(_weight(item) for item in held)
        for path, held in files.items()
    }
    items.sort(key=lambda item: (weights[item.path], draw.random() if seed is not None else 0.0))


#: Seconds of a test, roughly, by the folder it is in.
_SECONDS = {"crash": 4.0, "notebooks": 3.0, "apps": 2.0, "services": 1.0, "contract": 1.0}


def _weight(item: pytest.Item) -> float:
    return 5.0 if item.get_closest_marker("slow") else _SECONDS.get(item.path.parent.name, 0.1)


def pytest_collection_finish() -> None:
    """Thousands of collected tests stay to the end: the collector need not look at them again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _environment_ends_with_its_file() -> Iterator[None]:
    """What a file's tests put into the environment of this process is gone when the next file begins."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a desk on real history that a person has just resumed; never traded in itself.

    Made once for all workers of pytest-xdist: the first makes it, the others wait.
    """
    from drive import make_desk

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "prepared-desk"
    with (shared / "prepared-desk.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():  # named only when it is whole: a worker that failed leaves it to the next
            partial = Path(tempfile.mkdtemp(dir=shared))
            make_desk(partial)
            partial.rename(folder)
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresForTests]:
    """A real PostgreSQL server, started when the first test asks for it."""
    from places import PostgresForTests

    server = PostgresForTests()
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty database of each kind, to open a journal in."""
    from places import file_place

    if request.param == "sqlite":
        return file_place(tmp_path)
    server: PostgresForTests = request.getfixturevalue("postgres")
    return server.new_place()


@pytest.fixture
def new_desk(prepared: Path, tmp_path: Path) -> Callable[[str], Settings]:
    """Makes copies of the prepared desk: the same journal, bars, model, venue and ARMED file."""

    def copy(name: str = "desk") -> Settings:
        folder = tmp_path / name
        shutil.copytree(prepared, folder)
        return load_settings(str(folder / "workbench.toml"))

    return copy
