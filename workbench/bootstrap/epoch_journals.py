"""Read the journal of one desk epoch; where it cannot be read, say which one it is and what helps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from workbench.adapters.journal import JournalDatabase
from workbench.bootstrap.desk import epochs_of, open_journal
from workbench.config import Settings
from workbench.errors import Refused, StorageFailed, WorkbenchError


@contextmanager
def reading_epoch(settings: Settings, number: int) -> Iterator[JournalDatabase]:
    """The journal of a desk epoch, read-only, for as long as the context lasts.

    Parameters
    ----------
    number : int
        As `epochs_of` has it.

    Raises
    ------
    Refused, JournalCorrupt, StorageFailed
        It cannot be read; of an epoch that is not in force the number is named, since commands about a
        journal mean the one in force unless they are told otherwise.
    """
    try:
        with open_journal(settings, read_only=True, epoch=number) as journal:
            yield journal
    except (Refused, StorageFailed) as error:
        if number == epochs_of(settings)[-1]:
            raise
        raise _named(error, number) from error


def _named(error: WorkbenchError, number: int) -> WorkbenchError:
    """The same refusal, with the epoch and its option."""
    step = error.next_step
    if "known" in error.facts:  # of another schema version
        step = step.replace("workbench journal migrate", f"workbench journal migrate --epoch {number}")
    elif isinstance(error, Refused):
        step = (
            f"run `workbench journal verify --epoch {number}`, then restore that epoch's journal and anchor "
            "from a backup"
        )
    return type(error)(f"desk epoch {number} cannot be read: {error.message}", next_step=step, **error.facts)
