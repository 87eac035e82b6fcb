"""Where the journals of a desk's epochs are, and how the next one is put in force.

The first epoch's journal lies in the desk's folder, that of a later one in `epochs/NUMBER`; the largest
number is in force. A new epoch takes two steps that a crash may part: the old journal is closed for good, in
one transaction, and then the folder of the next one is made under another name and renamed. From the first
step on everything follows from the closed journal: whoever starts next finishes it, with the same bytes.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from workbench.adapters.journal import JournalDatabase
from workbench.errors import JournalCorrupt, StorageFailed
from workbench.services.epochs import beginning

JOURNAL: Final = "journal.sqlite"
ANCHOR: Final = "journal.anchor"
_FOLDER: Final = "epochs"
#: Names the epoch that was in force last: a folder that is gone is not taken for one that never was.
_REACHED: Final = "reached"


def epoch_in_force(root: Path) -> int:
    """Number of the desk's present epoch; 1 where there was never another.

    Raises
    ------
    JournalCorrupt
        The journal of an epoch that has begun is gone.
    """
    folder = root / _FOLDER
    if not folder.is_dir():
        return 1
    found = max((int(one.name) for one in folder.iterdir() if one.name.isdecimal()), default=1)
    try:
        reached = int((folder / _REACHED).read_text())
    except FileNotFoundError:
        reached = 1
    except (OSError, ValueError) as error:
        raise _gone(folder / _REACHED, "cannot be read") from error
    if reached > found:
        raise _gone(folder / str(reached), "is missing")
    return found


def records_of(root: Path, epoch: int) -> Path:
    """Folder of the journal and the anchor of one epoch; 0 = of the one in force."""
    number = epoch or epoch_in_force(root)
    return root if number == 1 else root / _FOLDER / str(number)


def succeed(root: Path, closed: JournalDatabase, key: bytes) -> int:
    """Make the epoch that follows a closed journal, or find it made; its number.

    Raises
    ------
    StorageFailed
        The folder cannot be written; the next start tries again.
    JournalCorrupt
        The closed journal is damaged: nothing begins from it.
    """
    folder = root / _FOLDER
    try:
        folder.mkdir(exist_ok=True)
        with _in_turn(folder):
            last = closed.events(kinds=("epoch.closed",))[-1]
            number = int(last.payload["epoch"]) + 1
            if not (folder / str(number)).is_dir():
                _make(folder, number, closed, key, last.payload["archives"])
            _write_reached(folder, number)
    except OSError as error:
        raise StorageFailed(
            f"desk epochs in {folder} cannot be written: {error.strerror or error}",
            next_step="free space or mend the folder; any start of the desk then finishes the new epoch",
            path=str(folder),
        ) from error
    return number


def _make(folder: Path, number: int, closed: JournalDatabase, key: bytes, archives: list[str]) -> None:
    unfinished = folder / f"{number}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    require_proved(closed)
    chain = closed.whole_chain([Path(name) for name in archives])
    first, carried = beginning(chain, closed.rows("outbox"))
    journal = JournalDatabase(
        f"sqlite:///{unfinished / JOURNAL}", anchor_path=unfinished / ANCHOR, anchor_key=key,
        config_hash=chain[-1].config_hash, wall_ns=lambda: chain[-1].at_ns,
    )  # fmt: skip
    with journal:
        journal.begin_from(first, carried)
        require_proved(journal)
    for path in (*sorted(unfinished.iterdir()), unfinished):
        _flush(path)
    unfinished.rename(folder / str(number))
    _flush(folder)


def require_proved(journal: JournalDatabase) -> None:
    """Refuse a journal whose chain, anchor or projections do not agree."""
    report = journal.verify()
    if not report.ok:
        raise JournalCorrupt(
            f"journal {journal.name} is damaged: {report.reason}",
            next_step="restore it from a backup; no desk epoch ends or begins with it",
        )


def _write_reached(folder: Path, number: int) -> None:
    temporary = folder / f"{_REACHED}.tmp"
    with temporary.open("w") as file:
        file.write(str(number))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / _REACHED)
    _flush(folder)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _in_turn(folder: Path) -> Iterator[None]:
    """Processes that find an epoch to finish do it one after another."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _gone(path: Path, what: str) -> JournalCorrupt:
    return JournalCorrupt(
        f"{path} of a desk epoch that has begun {what}",
        next_step="restore the folder epochs of the desk from a backup; nothing may trade without it",
        path=str(path),
    )
