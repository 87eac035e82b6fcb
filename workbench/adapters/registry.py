"""Models and cost models on disk: one folder an artifact, named by the hash of what is inside."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.core.canonical import canonical_json
from workbench.errors import ManifestMismatch, StorageFailed

CONTENT = "content.bin"
MANIFEST = "manifest.json"
HASHES = "hashes.json"

_KIND = re.compile(r"[a-z][a-z0-9_]{0,40}")
_ID = re.compile(r"[0-9a-f]{64}")


class FileRegistry:
    """Content-addressed artifacts under one folder, written whole or not at all.

    ``<root>/<kind>/<artifact id>/`` holds the content, its manifest as canonical JSON and the sha256 of
    both. The artifact id is the sha256 of that third file, so that one changed byte anywhere is found
    and the changed file can be named. Reading always recomputes every hash.

    Parameters
    ----------
    root : Path
        Folder of the registry; made when something is first put into it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def __repr__(self) -> str:
        return f"FileRegistry({str(self.root)!r})"

    def put(self, kind: str, content: bytes, manifest: Mapping[str, Any]) -> str:
        """The id of the stored artifact; storing the same thing again changes nothing.

        Raises
        ------
        StorageFailed
            The disk could not keep it; no part of it is visible.
        ManifestMismatch
            The artifact is there already and was altered.
        ValueError
            The kind is not a short lower-case word, or the manifest has no canonical form.
        """
        if not _KIND.fullmatch(kind):
            raise ValueError(f"{kind!r} is not a kind of artifact: use a short lower-case word")
        manifest_bytes = canonical_json(manifest).encode()
        hashes_bytes = _hashes_of(kind, content, manifest_bytes)
        artifact_id = hashlib.sha256(hashes_bytes).hexdigest()
        folder = self.root / kind / artifact_id
        if not folder.exists():
            self._write(folder, {CONTENT: content, MANIFEST: manifest_bytes, HASHES: hashes_bytes})
        self.get(kind, artifact_id)  # what another process reads is what was meant
        return artifact_id

    def get(self, kind: str, artifact_id: str) -> tuple[bytes, dict[str, Any]]:
        """Content and manifest of an artifact, after every hash has been recomputed.

        Raises
        ------
        ManifestMismatch
            There is no such artifact, or a byte of the named file differs from what was stored.
        StorageFailed
            The files cannot be read.
        """
        folder = self.root / kind / artifact_id
        if not (_KIND.fullmatch(kind) and _ID.fullmatch(artifact_id) and folder.is_dir()):
            raise ManifestMismatch(
                f"no {kind} {artifact_id!r} in the registry {self.root}",
                next_step="list what there is with `workbench candidates`",
                artifact_id=artifact_id,
            )
        hashes_bytes = self._read(folder / HASHES)
        if hashlib.sha256(hashes_bytes).hexdigest() != artifact_id:
            raise _altered(folder / HASHES, kind, artifact_id)
        hashes: dict[str, str] = json.loads(hashes_bytes)
        if hashes["kind"] != kind:
            raise _altered(folder, kind, artifact_id)
        content, manifest_bytes = self._read(folder / CONTENT), self._read(folder / MANIFEST)
        for name, data in ((CONTENT, content), (MANIFEST, manifest_bytes)):
            if hashlib.sha256(data).hexdigest() != hashes[name]:
                raise _altered(folder / name, kind, artifact_id)
        manifest: dict[str, Any] = json.loads(manifest_bytes)
        return content, manifest

    def list(self, kind: str) -> tuple[str, ...]:
        """Ids of all whole artifacts of a kind, sorted; unfinished writes are not among them."""
        folder = self.root / kind
        if not _KIND.fullmatch(kind) or not folder.is_dir():
            return ()
        return tuple(sorted(entry.name for entry in folder.iterdir() if _ID.fullmatch(entry.name)))

    def _write(self, folder: Path, files: Mapping[str, bytes]) -> None:
        # written aside, flushed, then renamed: a reader sees all of it or none of it
        aside: Path | None = None
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            aside = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder.parent))
            for name, data in files.items():
                with (aside / name).open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            _flush_folder(aside)
            aside.rename(folder)
            _flush_folder(folder.parent)
        except OSError as error:
            if aside is not None:
                shutil.rmtree(aside, ignore_errors=True)
            if folder.is_dir():  # another process stored the same artifact first
                return
            raise StorageFailed(
                f"registry could not store {folder}: {error.strerror or error}",
                next_step=f"free space on, or mend, the disk of {self.root} and run again",
                path=str(folder),
            ) from error

    def _read(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise _altered(path, path.parent.parent.name, path.parent.name) from None
        except OSError as error:
            raise StorageFailed(
                f"registry could not read {path}: {error.strerror or error}",
                next_step="check the disk and the rights of the file",
                path=str(path),
            ) from error


def _hashes_of(kind: str, content: bytes, manifest_bytes: bytes) -> bytes:
    hashes = {
        "kind": kind,
        CONTENT: hashlib.sha256(content).hexdigest(),
        MANIFEST: hashlib.sha256(manifest_bytes).hexdigest(),
    }
    return canonical_json(hashes).encode()


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _altered(path: Path, kind: str, artifact_id: str) -> ManifestMismatch:
    word = kind.replace("_", " ")
    again = "`workbench calibrate`" if kind == "cost_model" else "`workbench train`"
    return ManifestMismatch(
        f"{path} is not the file that was stored: {word} {artifact_id[:12]} cannot be trusted",
        next_step=f"restore {path.parent} from a backup, or remove that folder and run {again} again",
        path=str(path),
        artifact_id=artifact_id,
    )
