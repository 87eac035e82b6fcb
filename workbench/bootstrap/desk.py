"""One desk on disk: where its files are, and the read-only handle that notebooks and pages open."""

from __future__ import annotations

import html
import os
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from workbench.adapters.bars import ParquetBarStore
from workbench.adapters.calendar import ExchangeCalendar
from workbench.adapters.journal import JournalDatabase
from workbench.adapters.registry import FileRegistry
from workbench.adapters.run_parameters import TradingLoopParameters
from workbench.bootstrap.epoch_folders import (
    ANCHOR,
    JOURNAL,
    epoch_in_force,
    note_reached,
    records_of,
    succeed,
)
from workbench.config import Settings, load_settings
from workbench.core.ports import RecordedEvent
from workbench.core.workers import Workers
from workbench.errors import ConfigError, StorageFailed
from workbench.views import Views

if TYPE_CHECKING:
    import pandas as pd

    from workbench.bootstrap.research import Research
    from workbench.core.fill_model import FillModel
    from workbench.core.rewind import Timeline
    from workbench.services.execution import ExecutionRecords
    from workbench.services.what_if import WhatIf


@dataclass(frozen=True)
class DeskPaths:
    """Names of everything a desk keeps in its folder; `epoch` 0 = the one in force."""

    root: Path
    epoch: int = 0

    @property
    def journal(self) -> Path:
        """The journal's SQLite file."""
        return records_of(self.root, self.epoch) / JOURNAL

    @property
    def anchor(self) -> Path:
        """The journal's anchor, outside the database."""
        return records_of(self.root, self.epoch) / ANCHOR

    @property
    def anchor_key(self) -> Path:
        """The key of the anchor's HMAC, mode 0600, when no secret is configured."""
        return self.root / "anchor.key"

    @property
    def bars(self) -> Path:
        """Folder of the bars store."""
        return self.root / "bars"

    @property
    def registry(self) -> Path:
        """Folder of models and cost models."""
        return self.root / "registry"

    @property
    def runs(self) -> Path:
        """Folder of executed notebooks and their inputs."""
        return self.root / "runs"

    @property
    def armed(self) -> Path:
        """The ARMED file."""
        return self.root / "ARMED"

    @property
    def venue(self) -> Path:
        """Commands of the embedded venue: the other side's memory, never read as ours."""
        return self.root / "venue.sqlite"

    @property
    def spool(self) -> Path:
        """Records of halts that wait for a journal which was down."""
        return self.root / "spool"

    @property
    def lock(self) -> Path:
        """Held by the one process that may send."""
        return self.root / "trading.lock"


class NoHistory:
    """What a desk without a journal has recorded: nothing."""

    def rows(self, projection: str, **equals: Any) -> list[dict[str, Any]]:
        """No rows of any projection."""
        return []

    def events(self, *, kinds: Iterable[str] = (), after_seq: int = 0) -> tuple[RecordedEvent, ...]:
        """No events."""
        return ()


class Desk:
    """Read-only handle of a desk; it holds no venue keys and can send nothing.

    Attributes
    ----------
    settings : Settings
    paths : DeskPaths
        Of one desk epoch; 0 = the one in force.
    """

    def __init__(self, settings: Settings, *, epoch: int = 0) -> None:
        self.settings = settings
        self.paths = DeskPaths(settings.desk_path, epoch)
        self._file = 0  # of the journal that is open

    def follow(self) -> bool:
        """Let go of a journal that another file has replaced, as in a new desk epoch; whether it did.

        For processes that outlive an epoch: what they ask next is asked of the journal in force.
        """
        if "journal" not in self.__dict__ or self._file == journal_file(self.settings, self.paths):
            return False
        for name in ("views", "execution", "journal"):  # not closed: a thread may be reading it
            self.__dict__.pop(name, None)
        return True

    @property
    def initialised(self) -> bool:
        """Whether the desk has a journal yet."""
        return has_journal(self.settings)

    @cached_property
    def calendar(self) -> ExchangeCalendar:
        """The exchange's sessions."""
        return ExchangeCalendar()

    @cached_property
    def bars(self) -> ParquetBarStore:
        """The bars store."""
        return ParquetBarStore(self.paths.bars, calendar=self.calendar)

    @cached_property
    def journal(self) -> JournalDatabase:
        """The journal, read-only."""
        self._file = journal_file(self.settings, self.paths)  # before: one that changes meanwhile is seen
        return open_journal(self.settings, read_only=True, epoch=self.paths.epoch)

    @cached_property
    def registry(self) -> FileRegistry:
        """Models and cost models with their manifests."""
        return FileRegistry(self.paths.registry)

    @cached_property
    def views(self) -> Views:
        """The journal as tables for people; empty tables before the desk has a journal."""
        journal: JournalDatabase | NoHistory = self.journal if self.initialised else NoHistory()
        return Views(journal, self.settings.account, bars=self.bars, calendar=self.calendar)

    @cached_property
    def execution(self) -> ExecutionRecords:
        """Own orders, fills and books as tables for `workbench.tca` and `workbench.costs`."""
        from workbench.services.execution import ExecutionRecords

        journal: JournalDatabase | NoHistory = self.journal if self.initialised else NoHistory()
        mode = str(self.settings.mode)
        return ExecutionRecords(
            journal, self.settings.account, source=mode if mode in ("paper", "live") else "simulated",
            bars=self.bars, calendar=self.calendar,
        )  # fmt: skip

    @property
    def fill_model(self) -> FillModel | None:
        """The fill simulator that was calibrated last; None before there were enough own orders."""
        from workbench.services.fill_calibration import latest_fill_model

        journal: JournalDatabase | NoHistory = self.journal if self.initialised else NoHistory()
        return latest_fill_model(journal, self.registry, self.settings.account)

    def measures(self) -> pd.DataFrame:
        """What was measured of each monitored session, one row a session and measure."""
        from workbench.services.monitoring import measures_table

        rows = self.journal.rows("monitored", account=self.settings.account) if self.initialised else []
        return measures_table(rows)

    @cached_property
    def research(self) -> Research:
        """The trial ledger: what was tried here, and the place to record what is tried."""
        from workbench.bootstrap.research import Research

        return Research(self)

    @cached_property
    def workers(self) -> Workers:
        """Where research is worked on: the cluster of the setting `scale.cluster`, or here."""
        from workbench.bootstrap.clusters import workers_of

        return workers_of(self.settings)

    @cached_property
    def plots(self) -> ModuleType:
        """Pictures of the tables, such as `desk.plots.equity(desk.views.equity())`."""
        from workbench import plots

        return plots

    def price_path(self, session: str, symbol: str) -> Any:
        """Picture of the prices that a session knew, with our own executions on them."""
        from workbench.screens.prices import fills_until, known_prices

        return self.plots.price_path(known_prices(self, session, symbol), fills_until(self, session, symbol))

    def timings(self, session: str = "") -> pd.DataFrame:
        """How long the stages of cycles and sessions took, with percentiles; "" = of all sessions."""
        from workbench.core.timings import timings_table

        journal: JournalDatabase | NoHistory = self.journal if self.initialised else NoHistory()
        return timings_table(
            event.payload["stages"]
            for event in journal.events(kinds=("session.timed",))
            if event.payload["account"] == self.settings.account and session in ("", event.payload["session"])
        )

    def timeline(self, run: str | Path) -> Timeline:
        """The states that a recorded run went through; see `workbench.bootstrap.replay.timeline`."""
        from workbench.bootstrap.replay import timeline

        return timeline(run, config=self.settings)

    def what_if(self, run: str | Path, changes: Mapping[str, Any]) -> WhatIf:
        """A recorded session under other terms; see `workbench.bootstrap.replay.what_if`."""
        from workbench.bootstrap.replay import what_if

        return what_if(run, changes, config=self.settings)

    def __repr__(self) -> str:
        return f"<desk {self.settings.account} ({self.settings.mode}) at {self.paths.root}>"

    def _repr_html_(self) -> str:
        return html.escape(repr(self))


def open_workbench(settings: Settings) -> Desk:
    """The read-only handle of the desk that the settings describe.

    Parameters
    ----------
    settings : Settings
        From `workbench.load_settings`.

    Returns
    -------
    Desk
        With `bars`, `journal`, `registry`, `views`, each opened when first used.

    Examples
    --------
    >>> import workbench as wb
    >>> desk = wb.open_workbench(wb.load_settings("workbench.toml"))  # doctest: +SKIP
    >>> desk.views.sessions()  # doctest: +SKIP
    """
    return Desk(settings)


def has_journal(settings: Settings) -> bool:
    """Whether the desk has a journal: its file, or for one on a server the anchor that every journal has."""
    paths = DeskPaths(settings.desk_path)
    return paths.anchor.exists() if settings.journal.url else paths.journal.exists()


def journal_file(settings: Settings, paths: DeskPaths) -> int:
    """Tells one file of the journal from another: an open one outlives its name; 0 = a server keeps it."""
    if settings.journal.url:
        return 0
    try:
        return os.stat(paths.journal).st_ino  # a new desk epoch has another file
    except OSError:
        return -1


def open_journal(
    settings: Settings, *, read_only: bool, with_key: bool = False, epoch: int = 0
) -> JournalDatabase:
    """The desk's journal; a read-only handle needs the anchor's key only to check its signature.

    Whoever opens the journal in force to write finishes a new desk epoch that a crash has interrupted.

    Parameters
    ----------
    epoch : int, default 0
        Number of a desk epoch; 0 = the one in force.

    Raises
    ------
    ConfigError
        The desk has no journal yet, or no such epoch.
    JournalCorrupt
        Opened to write, the journal's end does not agree with its anchor. A read-only handle proves nothing
        until `verify` is asked.
    """
    paths = DeskPaths(settings.desk_path, epoch)
    if epoch and epoch not in epochs_of(settings):
        raise ConfigError(
            f"there is no desk epoch {epoch} at {paths.root}", next_step="workbench epochs lists them"
        )
    if not has_journal(settings):
        raise ConfigError(
            f"there is no desk at {paths.root}",
            next_step="workbench init, or workbench demo for one with history",
            path=str(paths.root),
        )
    key = _anchor_key(settings, paths) if with_key or not read_only else None
    if read_only or epoch or key is None:
        return _journal(settings, paths, key, read_only=read_only)
    return _in_force(settings, paths, key)


def epochs_of(settings: Settings) -> range:
    """Numbers of the desk's epochs; the last one is in force."""
    return range(1, epoch_in_force(settings.desk_path) + 1)


def recorded_hash(parameters: TradingLoopParameters) -> str:
    """The hash of a run's parameters that the journal holds; "" when it knows no such run."""
    settings = load_settings(parameters.config_path, overrides=parameters.overrides, keys_needed=False)
    rows = open_journal(settings, read_only=True).rows("runs", run_id=parameters.run_id)
    return str(rows[0]["parameters_hash"]) if rows else ""


def create_journal(settings: Settings) -> JournalDatabase:
    """A new journal in a new desk folder; an existing one is opened."""
    paths = DeskPaths(settings.desk_path)
    try:
        paths.root.mkdir(parents=True, exist_ok=True)
        if not paths.anchor_key.exists() and not has_journal(settings):
            descriptor = os.open(paths.anchor_key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(32))
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise StorageFailed(
            f"cannot create the desk at {paths.root}: {error.strerror}",
            next_step="choose another desk.path, or mend the folder",
            path=str(paths.root),
        ) from error
    return _in_force(settings, paths, _anchor_key(settings, paths))


def _in_force(settings: Settings, paths: DeskPaths, key: bytes) -> JournalDatabase:
    """The journal to write to; where it was closed and nothing follows yet, the next epoch is made first."""
    note_reached(paths.root)
    journal = _journal(settings, paths, key, read_only=False)
    if not journal.closed:
        return journal
    with journal:
        succeed(paths.root, journal, key)
    return _journal(settings, paths, key, read_only=False)


def _journal(settings: Settings, paths: DeskPaths, key: bytes | None, *, read_only: bool) -> JournalDatabase:
    return JournalDatabase(
        settings.journal.url or f"sqlite:///{paths.journal}",
        anchor_path=paths.anchor,
        anchor_key=key,
        config_hash=settings.config_hash,
        wall_ns=time.time_ns,
        password=password.reveal() if (password := settings.secrets.journal_password) else None,
        read_only=read_only,
    )


def _anchor_key(settings: Settings, paths: DeskPaths) -> bytes:
    if settings.secrets.anchor_key is not None:
        return settings.secrets.anchor_key.reveal().encode()
    try:
        return paths.anchor_key.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the anchor key {paths.anchor_key} cannot be read: {error.strerror}",
            next_step="restore it from a backup, or set WORKBENCH_SECRETS__ANCHOR_KEY",
            path=str(paths.anchor_key),
        ) from error
