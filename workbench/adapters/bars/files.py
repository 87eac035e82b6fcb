"""The files of a bars store: append-only parts, and the manifest whose rename is the commit."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

from workbench.errors import DataError, Refused, StorageFailed

SCHEMA = 2
READABLE = (1, 2)  #: 1 had daily bars only, and no seal
FOLDERS = {
    "bars": "parts", "quotes": "parts", "trades": "parts", "splits": "parts", "dividends": "parts",
    "renames": "parts", "quarantine": "quarantine",
}  # fmt: skip
ROW_KINDS = ("bars", "quotes", "trades")
STAGING = "staging"
_OURS = re.compile(rf"(({'|'.join(FOLDERS)})-[0-9a-f]{{24}}\.parquet|manifest\.json)(\.tmp)?")
_RESTORE = "restore it from a backup, or move the store aside and run `workbench data ingest` from the source"

Result = TypeVar("Result")


@dataclass(frozen=True)
class Part:
    """One committed file.

    Attributes
    ----------
    path : str
        Below the store's folder.
    kind : str
        "bars", "quotes", "trades", "splits", "dividends", "renames" or "quarantine".
    reasons : mapping of str to int
        Rows by reason, for quarantined rows.
    first_day, last_day : int
        First and last session of the rows, as days since 1970-01-01; 0 and 0 where not recorded.
    """

    path: str
    kind: str
    sha256: str
    rows: int
    source: str
    ingested_at_ns: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    first_day: int = 0
    last_day: int = 0


@dataclass(frozen=True)
class Manifest:
    """What the store holds; a file that is not listed does not exist.

    Attributes
    ----------
    content_sum : tuple of int
        Order-free sum of the rows' hashes, from which the fingerprint of other kinds than daily is made.
    calendar, currency : str
        What every row was declared to be in; "" before the first row.
    """

    parts: tuple[Part, ...]
    rows: int
    fingerprint: str
    kind: str = "daily"
    calendar: str = ""
    currency: str = ""
    content_sum: tuple[int, ...] = (0, 0, 0, 0)

    def to_bytes(self) -> bytes:
        """Canonical JSON text."""
        content = {"schema": SCHEMA, "seal": self.seal(), **asdict(self)}
        return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()

    def seal(self) -> str:
        """Hash of everything listed: a part that is taken out of the list, or changed in it, shows."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def read_manifest(root: Path, known: tuple[Manifest | None, str] = (None, "")) -> tuple[Manifest | None, str]:
    """The manifest and the sha256 of its bytes; None when nothing was ever committed.

    Parameters
    ----------
    root : Path
    known : tuple of (Manifest or None, str)
        What was read before: under the same bytes it is the answer again.

    Raises
    ------
    DataError
        It cannot be read, or it is gone while parts are there.
    """
    path = root / "manifest.json"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if next(iter((root / "parts").glob("*.parquet")), None) is not None:
            raise DataError(f"{path} is missing, but there are parts", next_step=_RESTORE) from None
        return None, ""
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror}", next_step=_RESTORE) from problem
    digest = hashlib.sha256(content).hexdigest()
    if digest == known[1]:
        return known
    try:
        found = json.loads(content)
        if found["schema"] not in READABLE:
            raise DataError(
                f"{path} has schema {found['schema']}, this workbench reads {READABLE}",
                next_step="use the workbench version that wrote it",
            )
        parts = tuple(Part(**part) for part in found["parts"])
        more = {name: found[name] for name in ("kind", "calendar", "currency") if name in found}
        total = tuple(found.get("content_sum", (0, 0, 0, 0)))
        manifest = Manifest(parts, found["rows"], found["fingerprint"], content_sum=total, **more)
    except (ValueError, KeyError, TypeError) as problem:
        raise DataError(f"{path} is not a manifest: {problem}", next_step=_RESTORE) from problem
    listed = sum(part.rows for part in parts if part.kind in ROW_KINDS)
    if found.get("seal", manifest.seal()) != manifest.seal() or listed != manifest.rows:
        raise DataError(
            f"{path} does not describe its parts: their fingerprint differs",
            next_step="restore it from a backup, or move the store aside and ingest again",
        )
    return manifest, digest


def verify_part(root: Path, part: Part) -> Path:
    """The path of a committed file, after its hash was found as listed; read in pieces.

    Raises
    ------
    DataError
        The file is missing, half-written or altered; it is named.
    """
    path = root / part.path
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    except OSError as problem:
        raise DataError(
            f"{path} cannot be read: {problem.strerror}", next_step=_RESTORE, path=str(path)
        ) from problem
    if found != part.sha256:
        raise DataError(
            f"{path} is not the file that was ingested: {size:,} bytes with sha256 {found[:12]}..., "
            f"the manifest says {part.sha256[:12]}...",
            next_step=_RESTORE,
            path=str(path),
        )
    return path


def write_part(
    root: Path, kind: str, content: bytes, *, rows: int, source: str, ingested_at_ns: int,
    reasons: Mapping[str, int] | None = None, days: tuple[int, int] = (0, 0),
) -> Part:  # fmt: skip
    """Store one file under a name made of its content; it counts once a manifest lists it."""
    digest = hashlib.sha256(content).hexdigest()
    name = f"{FOLDERS[kind]}/{kind}-{digest[:24]}.parquet"
    write_durably(root / name, content)
    return Part(name, kind, digest, rows, source, ingested_at_ns, dict(reasons or {}), *days)


def write_manifest(root: Path, manifest: Manifest) -> None:
    """Commit: afterwards readers see exactly the listed parts."""
    write_durably(root / "manifest.json", manifest.to_bytes())


def write_durably(path: Path, content: bytes) -> None:
    """Replace a file by new content that survives a power cut, or leave the old one.

    Raises
    ------
    StorageFailed
        The disk is full or gone; the file is named and as it was before.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as problem:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StorageFailed(
            f"{path} could not be written: {problem.strerror}",
            next_step="make room on that disk and run the same command again; the old data is intact",
            path=str(path),
        ) from problem


def prepare(root: Path, empty: Manifest) -> Manifest:
    """The manifest of a store that is ready for an ingest: folders exist, leftovers are gone.

    An empty manifest is committed before the first part, so that a missing one always means loss.
    """
    manifest, _ = read_manifest(root)
    try:
        for folder in {root, *(root / name for name in FOLDERS.values())}:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise StorageFailed(
            f"{root} cannot be made: {problem.strerror}", next_step="check the disk and the folder's owner"
        ) from problem
    if manifest is None:
        manifest = empty
        write_manifest(root, manifest)
    shutil.rmtree(root / STAGING, ignore_errors=True)
    listed = {root / part.path for part in manifest.parts}
    for folder in (root, *(root / name for name in sorted(set(FOLDERS.values())))):
        for path in sorted(folder.iterdir()):
            ours = _OURS.fullmatch(path.name)
            if ours and path not in listed and path != root / "manifest.json":
                path.unlink()  # a crash between a part and its manifest left it
    return manifest


@contextlib.contextmanager
def ingest_lock(root: Path) -> Iterator[None]:
    """Hold the store's write lock; a killed process loses it.

    Raises
    ------
    Refused
        Another process ingests at this moment.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = (root / "ingest.lock").open("ab")
    except OSError as problem:
        raise StorageFailed(
            f"{root / 'ingest.lock'} cannot be opened: {problem.strerror}",
            next_step="check the disk and the folder's owner",
        ) from problem
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(
                f"another process is ingesting into {root}", next_step="wait for it to end and run again"
            ) from None
        yield


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
