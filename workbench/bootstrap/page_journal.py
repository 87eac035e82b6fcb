"""The journal that a page reads: the one in force, also after the desk has gone into another epoch."""

from __future__ import annotations

from collections.abc import Hashable

from workbench.bootstrap.desk import Desk, has_journal
from workbench.config import load_settings
from workbench.errors import ConfigError, Refused


class JournalEnd:
    """Number and hash of the last event of the journal in force; the desk is led to that journal.

    Parameters
    ----------
    desk : Desk
        The handle of one page; nobody else leads it, so that no reading is half of one epoch.

    Raises
    ------
    ConfigError
        There is no desk yet; or the desk went into another epoch with other settings than these pages have.
    Refused
        The journal was closed for good and nothing follows it yet.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._moved = False

    def __call__(self) -> Hashable:
        """Look at the journal."""
        desk = self._desk
        if not has_journal(desk.settings):
            raise ConfigError(
                f"there is no desk at {desk.paths.root} yet",
                next_step="workbench init, or workbench demo for one with history",
            )
        self._moved = desk.follow() or self._moved
        if self._moved:
            self._require_same_settings()
        if desk.journal.closed:
            raise Refused(
                "this desk epoch has ended and the next one is not made yet",
                next_step="run workbench adopt --new-account again: it finishes what was begun",
            )
        return desk.journal.head()

    def _require_same_settings(self) -> None:
        """Another account mostly comes with other settings; its books are not shown under these."""
        held = self._desk.settings
        present = load_settings(held.file, keys_needed=False)
        if present.config_hash != held.config_hash:
            raise ConfigError(
                "the desk is in another epoch, and its settings are not those that these pages started with",
                next_step="end workbench dashboards and start it again",
            )
        self._moved = False
