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
#: Names the epoch that was in force last, among the epochs and beside the first journal's anchor: a folder
#: that is gone, or all of them, are not taken for what never was.
_REACHED: Final = ("epochs/reached", "journal.reached")


def epoch_in_force(root: Path) -> int:
    """Number of the desk's present epoch; 1 where there was never another.

    Raises
    ------
    JournalCorrupt
        The journal of an epoch that has begun is gone.
    """
    folder = root / _FOLDER
    names = [one.name for one in folder.iterdir()] if folder.is_dir() else []
    found = max((int(name) for name in names if name.isdecimal()), default=1)
    reached = max(_reached(root))
    if reached > found:
        raise _gone(folder / str(reached), "is missing")
    return found


def note_reached(root: Path) -> None:
    """Write down which epoch is in force, before anything is written to its journal.

    A crash may have come between the rename and the note; until here the epoch could be made again
    without a loss.

    Raises
    ------
    StorageFailed, JournalCorrupt
        As `succeed` and `epoch_in_force`.
    """
    number = epoch_in_force(root)
    if number > min(_reached(root)):
        with _writing(root):
            _write_reached(root, number)


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
    with _writing(root):
        last = closed.events(kinds=("epoch.closed",))[-1]
        number = int(last.payload["epoch"]) + 1
        if not (folder / str(number)).is_dir():
            _make(folder, number, closed, key, last.payload["archives"])
        _write_reached(root, number)
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


def _reached(root: Path) -> list[int]:
    """What each note says; 1 where there is none."""
    found = []
    for name in _REACHED:
        try:
            found.append(int((root / name).read_text()))
        except (FileNotFoundError, NotADirectoryError):
            found.append(1)
        except (OSError, ValueError) as error:
            raise _gone(root / name, "cannot be read") from error
    return found


def _write_reached(root: Path, number: int) -> None:
    for name in _REACHED:
        path = root / name
        temporary = path.with_name(f"{path.name}.tmp")
        with temporary.open("w") as file:
            file.write(str(number))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _flush(path.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _writing(root: Path) -> Iterator[None]:
    """Processes that find an epoch to finish do it one after another."""
    folder = root / _FOLDER
    try:
        folder.mkdir(exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StorageFailed(
            f"desk epochs in {folder} cannot be written: {error.strerror or error}",
            next_step="free space or mend the folder; any start of the desk then finishes the new epoch",
            path=str(folder),
        ) from error


def _gone(path: Path, what: str) -> JournalCorrupt:
    return JournalCorrupt(
        f"{path} of a desk epoch that has begun {what}",
        next_step="restore the whole desk folder, epochs included, from a backup; until then nothing trades",
        path=str(path),
    )
