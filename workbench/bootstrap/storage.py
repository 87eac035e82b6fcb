"""Bars and executed runs on object storage: copied by hash, the list of what belongs together last."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from workbench.adapters.bars.remote import Copied, pull_store, push_store
from workbench.adapters.object_store import ObjectStore
from workbench.bootstrap.desk import Desk
from workbench.config import Settings
from workbench.errors import ConfigError, DataError, Refused, UsageError

#: Names a run's files with their hashes; written last, so that a run is there when this is.
_LIST: Final = "files.json"
#: What a run leaves for its own machine only.
_LOCAL: Final = frozenset({"runner.heartbeat", "kernel.lock"})


@dataclass(frozen=True)
class Exchanged:
    """What one exchange with the object storage moved.

    Attributes
    ----------
    url : str
    stores : dict of str to Copied
        By the store's place below the URL, such as "bars" and "bars/minute".
    runs : tuple of str
        Ids of the runs that were copied.
    """

    url: str
    stores: dict[str, Copied]
    runs: tuple[str, ...]


def open_storage(settings: Settings, url: str = "") -> ObjectStore:
    """The object storage of the settings, or the one at `url` with the same service and keys.

    Raises
    ------
    ConfigError
        No storage or no keys are set.
    """
    where = url or settings.scale.storage
    if not where:
        raise ConfigError("no object storage is set", next_step='set scale.storage = "s3://BUCKET/PREFIX"')
    key, secret = settings.secrets.storage_key, settings.secrets.storage_secret
    return ObjectStore(
        where, endpoint=settings.scale.storage_endpoint, region=settings.scale.storage_region,
        key=key.reveal() if key else "", secret=secret.reveal() if secret else "",
    )  # fmt: skip


def push(settings: Settings, *, bars: bool, runs: bool) -> Exchanged:
    """Copy stores and ended runs that the object storage lacks; what is there is never taken away."""
    storage, desk = open_storage(settings), Desk(settings)
    stores = {}
    if bars:
        for name in _stores_here(desk):
            stores[name] = push_store(desk.paths.bars.parent / name, storage, name)
    sent = []
    if runs:
        known = {name.removesuffix(f"/{_LIST}") for name in storage.names("runs") if name.endswith(_LIST)}
        for row in desk.journal.rows("runs") if desk.initialised else []:
            run_id = str(row["run_id"])
            if row["status"] != "running" and f"runs/{run_id}" not in known:
                sent += [run_id] if _push_run(desk.paths.runs / run_id, storage, f"runs/{run_id}") else []
    return Exchanged(storage.url, stores, tuple(sent))


def pull(settings: Settings, *, bars: bool, run: str = "") -> Exchanged:
    """Take over the stores of the object storage, or one executed run to look at or to replay.

    Raises
    ------
    DataError
        There is none, or a file is not what its list says.
    Refused
        This side holds rows or a run that the storage has never had.
    """
    storage, desk = open_storage(settings), Desk(settings)
    stores = {}
    if bars:
        found = {name.rpartition("/")[0] for name in storage.names("bars") if name.endswith("/manifest.json")}
        if not found:
            raise DataError(f"there are no bars at {storage.url}", next_step="workbench storage push")
        for name in sorted(found):
            stores[name] = pull_store(_below(desk.paths.bars.parent, name), storage, name)
    if run:
        _pull_run(_below(desk.paths.runs, run), storage, f"runs/{run}")
    return Exchanged(storage.url, stores, (run,) if run else ())


def contents(settings: Settings) -> dict[str, Any]:
    """What the object storage holds: stores with their rows, and runs."""
    storage = open_storage(settings)
    names = storage.names()
    stores = {}
    for name in names:
        if name.startswith("bars") and name.endswith("/manifest.json"):
            found = json.loads(storage.read(name) or b"{}")
            stores[name.rpartition("/")[0]] = {
                "rows": int(found.get("rows", 0)), "fingerprint": str(found.get("fingerprint", "")),
            }  # fmt: skip
    runs = [name[len("runs/") : -len(_LIST) - 1] for name in names if name.startswith("runs/")
            and name.endswith(f"/{_LIST}")]  # fmt: skip
    return {"url": storage.url, "stores": stores, "runs": runs}


@contextmanager
def delivery(settings: Settings, url: str) -> Iterator[Path]:
    """The object at a URL, or all below it, as a file or folder that lasts as long as the context.

    Raises
    ------
    UsageError
        Nothing is there.
    """
    above, _, name = url.rstrip("/").rpartition("/")
    single = "." in name
    storage = open_storage(settings, above if single else url)
    names = (name,) if single else storage.names()
    if not names:
        raise UsageError(f"there is nothing at {url}", next_step="name an object, or what stands before some")
    with tempfile.TemporaryDirectory(prefix="workbench-delivery-") as folder:
        for one in names:
            path = _below(Path(folder), one)
            path.parent.mkdir(parents=True, exist_ok=True)
            storage.fetch(one, path)
        yield Path(folder) / name if single else Path(folder)


def _stores_here(desk: Desk) -> list[str]:
    root = desk.paths.bars
    found = [
        path.parent for path in root.rglob("manifest.json") if path.parent.name not in ("parts", "staging")
    ]
    return sorted(path.relative_to(root.parent).as_posix() for path in found)


def _below(root: Path, name: str) -> Path:
    """A place below `root`: what lies on the storage may not choose another one."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts:
        raise DataError(
            f"{name!r} is no name below {root.name}", next_step="look at workbench storage status"
        )
    return root.joinpath(*parts)


def _push_run(folder: Path, storage: ObjectStore, name: str) -> bool:
    """Whether there was anything to copy: a run that never got a folder leaves none."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in _LOCAL]
    if not files:
        return False
    listed = {}
    for path in files:
        below = path.relative_to(folder).as_posix()
        listed[below] = _sha256(path)
        storage.send(path, f"{name}/{below}")
    with tempfile.TemporaryDirectory() as scratch:
        words = Path(scratch) / _LIST
        words.write_text(json.dumps(listed, indent=1, sort_keys=True))
        storage.send(words, f"{name}/{_LIST}")
    return True


def _pull_run(folder: Path, storage: ObjectStore, name: str) -> None:
    if folder.exists():
        raise Refused(f"{folder} is there already", next_step="look at that one, or move it away")
    words = storage.read(f"{name}/{_LIST}")
    if words is None:
        raise DataError(f"there is no run at {storage.url}/{name}", next_step="workbench storage status")
    listed = json.loads(words)
    partial = folder.with_name(f".{folder.name}.partial")
    for below, sha256 in listed.items():
        path = _below(partial, str(below))
        path.parent.mkdir(parents=True, exist_ok=True)
        storage.fetch(f"{name}/{below}", path)
        if _sha256(path) != sha256:
            raise DataError(
                f"{storage.url}/{name}/{below} is not the file that was sent",
                next_step="somebody changed it there; ask the desk that ran it for its own",
            )
    partial.rename(folder)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
