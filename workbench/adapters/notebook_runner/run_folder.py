"""What a runner leaves on disk: locks, the heartbeat, files that are whole or absent."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from workbench.errors import Refused, StorageFailed

HEARTBEAT_EVERY_S: Final = 0.5


@contextlib.contextmanager
def heartbeat(path: Path) -> Iterator[None]:
    """Touch `path` twice a second; it holds this process's id, and its age says whether we live."""
    write_durably(path, str(os.getpid()).encode())
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT_EVERY_S):
            with contextlib.suppress(OSError):  # no beat is what the kernel's guard acts on
                os.utime(path)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def make_folder(folder: Path) -> None:
    """Make sure that the folder exists."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFailed(
            f"{folder} cannot be made: {error.strerror}", next_step="check the disk"
        ) from error


def claim_folder(run_dir: Path, run_id: str) -> None:
    """Make the folder of a new attempt; raises Refused when it is not new."""
    try:
        run_dir.mkdir()
    except FileExistsError as error:
        raise Refused(
            f"run {run_id} exists already in {run_dir}",
            next_step="move that folder away, it belongs to another journal",
        ) from error
    except OSError as error:
        raise StorageFailed(
            f"{run_dir} cannot be made: {error.strerror}", next_step="check the disk"
        ) from error


def try_lock(path: Path) -> int | None:
    """Descriptor that holds an exclusive lock on `path`, or None when another process holds it."""
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StorageFailed(
            f"{path} cannot be opened: {error.strerror}", next_step="check the disk"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def keep(partial: Path, output: Path) -> None:
    """Give the executed notebook its name, on disk for good."""
    try:
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(output)
        _sync_folder(output.parent)
    except FileNotFoundError:
        return  # the kernel never started
    except OSError as error:
        raise StorageFailed(f"{output} cannot be kept: {error.strerror}", next_step="free space") from error


def write_durably(path: Path, content: bytes) -> None:
    """Write a file that after a crash is either whole or absent."""
    partial = path.with_name(f"{path.name}.tmp")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise StorageFailed(f"{path} cannot be written: {error.strerror}", next_step="free space") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
