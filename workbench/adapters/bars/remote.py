"""A store's copy on object storage: parts by the hash of their content first, the list of them last.

The copy is one line of versions: a side that has not seen the other's latest rows may not overwrite them.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from workbench.adapters.bars.files import (
    FOLDERS,
    Manifest,
    Part,
    ingest_lock,
    read_manifest,
    verify_part,
    write_durably,
    write_manifest,
)
from workbench.errors import DataError, Refused, StorageFailed

_MARK = "copied.json"  #: for each place, the fingerprint of the rows that both sides had last


class Objects(Protocol):
    """Where the copy lies."""

    def read(self, name: str) -> bytes | None:
        """The bytes of a small object; None when it is not there."""
        ...

    def send(self, path: Path, name: str) -> None:
        """Copy a file there."""
        ...

    def fetch(self, name: str, path: Path) -> None:
        """Copy an object to a file."""
        ...


@dataclass(frozen=True)
class Copied:
    """What a copy moved.

    Attributes
    ----------
    parts, bytes : int
        Files that the other side lacked, and their size.
    rows : int
        Rows that both sides hold now.
    fingerprint : str
        Of these rows.
    """

    parts: int
    bytes: int
    rows: int
    fingerprint: str


def push_store(root: Path, objects: Objects, prefix: str) -> Copied:
    """Copy what the other side lacks; readers there see the old store until the new one is whole.

    Raises
    ------
    DataError
        There is no store here, or a file of it is damaged.
    Refused
        The other side holds rows that this one has never had.
    StorageFailed
        The other side does not answer; its store is as it was.
    """
    with ingest_lock(root):
        ours, _ = read_manifest(root)
        if ours is None:
            raise DataError(f"{root} holds no store", next_step="workbench data ingest")
        theirs = _manifest_there(objects, prefix)
        if theirs is not None:
            _require_ahead(ours, theirs, root, prefix, "workbench storage pull brings them here")
        known = {part.sha256 for part in theirs.parts} if theirs is not None else set()
        missing = [part for part in ours.parts if part.sha256 not in known]
        size = 0
        for part in missing:
            path = verify_part(root, part)
            size += path.stat().st_size
            objects.send(path, f"{prefix}/{part.path}")
        objects.send(root / "manifest.json", f"{prefix}/manifest.json")
        _mark(root, prefix, ours)
    return Copied(len(missing), size, ours.rows, ours.fingerprint)


def pull_store(root: Path, objects: Objects, prefix: str) -> Copied:
    """Take over what the other side holds; every file's hash is checked before the store lists it.

    Raises
    ------
    DataError
        There is no store there, or a file of it is not what its list says.
    Refused
        This side holds rows that the other one has never had.
    StorageFailed
        The other side does not answer, or the disk is full; the store here is as it was.
    """
    theirs = _manifest_there(objects, prefix)
    if theirs is None:
        raise DataError(f"there is no store at {prefix}", next_step="workbench storage push, where it is")
    for part in theirs.parts:
        _require_our_name(part, prefix)
    with ingest_lock(root):
        ours, _ = read_manifest(root)
        if ours is not None:
            _require_ahead(theirs, ours, root, prefix, "workbench storage push sends them there")
        size = fetched = 0
        for part in theirs.parts:
            path = root / part.path
            if path.exists():
                verify_part(root, part)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            objects.fetch(f"{prefix}/{part.path}", path)
            try:
                verify_part(root, part)
            except DataError:
                path.unlink()
                raise
            size += path.stat().st_size
            fetched += 1
        write_manifest(root, theirs)
        _mark(root, prefix, theirs)
    return Copied(fetched, size, theirs.rows, theirs.fingerprint)


def _manifest_there(objects: Objects, prefix: str) -> Manifest | None:
    content = objects.read(f"{prefix}/manifest.json")
    if content is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "manifest.json").write_bytes(content)
        return read_manifest(Path(folder))[0]


def _require_ahead(ahead: Manifest, behind: Manifest, root: Path, prefix: str, step: str) -> None:
    """Refuse when `behind` holds rows that `ahead` lacks: by its files, or by what both had last."""
    if behind.fingerprint in (ahead.fingerprint, _marks(root).get(prefix)) or not behind.rows:
        return
    if {part.sha256 for part in behind.parts} <= {part.sha256 for part in ahead.parts}:
        return
    raise Refused(
        f"the store at {prefix} and the one at {root} both hold rows that the other lacks",
        next_step=f"{step}; what was added on both sides has to be ingested again on one of them",
    )


def _require_our_name(part: Part, prefix: str) -> None:
    """A list from elsewhere may not choose where its files are written."""
    if part.path != f"{FOLDERS.get(part.kind, '')}/{part.kind}-{part.sha256[:24]}.parquet":
        raise DataError(
            f"the store at {prefix} lists {part.path!r}, which is no name of a part",
            next_step="whoever can write there has changed it: restore the copy with workbench storage push",
        )


def _marks(root: Path) -> dict[str, str]:
    try:
        found = json.loads((root / _MARK).read_bytes())
    except (OSError, ValueError):
        return {}
    return {str(place): str(mark) for place, mark in found.items()} if isinstance(found, dict) else {}


def _mark(root: Path, prefix: str, manifest: Manifest) -> None:
    marks = {**_marks(root), prefix: manifest.fingerprint}
    try:
        write_durably(root / _MARK, json.dumps(marks, indent=1, sort_keys=True).encode())
    except StorageFailed:
        return  # the copy is whole; without the mark the next one only asks more
