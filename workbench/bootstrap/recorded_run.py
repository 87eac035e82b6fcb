"""A run of the trading loop as the journal and its folder know it, proved before it runs again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench.adapters.journal import JournalDatabase
from workbench.adapters.run_parameters import read_parameters
from workbench.bootstrap.desk import Desk, epochs_of, recorded_hash
from workbench.bootstrap.epoch_journals import reading_epoch
from workbench.bootstrap.resources import present_code_hash
from workbench.bootstrap.run_inputs import inputs_of, require_whole_inputs, version_differences
from workbench.config import RecordedSettings, Settings, load_settings, settings_of_record
from workbench.core.features import select_features
from workbench.core.ports import RecordedEvent
from workbench.errors import DataError, ManifestMismatch, UsageError

#: Bars behind a decision at the least, as `services.decision.Strategy.lookback`.
_LEAST_LOOKBACK = 21


@dataclass(frozen=True)
class RecordedRun:
    """A run that a journal knows.

    Attributes
    ----------
    run_id, session : str
    present : Settings
        Of the desk as it is now.
    events : tuple of RecordedEvent
        The whole chain of its desk epoch.
    epoch : int
        Number of that epoch.
    """

    run_id: str
    session: str
    present: Settings
    events: tuple[RecordedEvent, ...]
    journal_schema: int
    epoch: int = 0

    @property
    def desk(self) -> Desk:
        """The desk that the run belongs to, in the epoch of then."""
        return Desk(self.present, epoch=self.epoch)

    @cached_property
    def decided(self) -> tuple[RecordedEvent, ...]:
        """The decisions of the session."""
        return tuple(
            e for e in self.events if e.kind == "decision.made" and e.payload["session"] == self.session
        )

    @cached_property
    def inputs(self) -> Mapping[str, Any] | None:
        """What the run recorded of its inputs; None for a run of before that was recorded."""
        return inputs_of(self.events, self.run_id, self.session)

    @cached_property
    def traded_by(self) -> tuple[str, ...]:
        """Ids of the runs that decided and watched, those that were refused before a decision left out."""
        first = self.decided[0].seq
        seen = [
            (event.seq, str(event.payload["run_id"]))
            for event in self.events
            if event.kind == "run.inputs" and event.payload["session"] == self.session
            and event.seq < self.last_seq
        ]  # fmt: skip
        before = [run_id for seq, run_id in seen if seq < first]
        return (*before[-1:], *(run_id for seq, run_id in seen if seq > first))

    @cached_property
    def first_seq(self) -> int:
        """Number of the first event of the session: its first run, else its first decision."""
        return min(
            event.seq
            for event in self.events
            if event.kind in ("run.started", "run.inputs", "decision.made")
            and event.payload["session"] == self.session
        )

    @cached_property
    def trading_seq(self) -> int:
        """Number of the first event of the run that decided first.

        Runs that were refused before, and what a person did about it, are part of what the desk was then.
        """
        of_the_run = [
            event.seq
            for event in self.events
            if event.kind in ("run.started", "run.inputs") and event.payload["run_id"] in self.traded_by[:1]
        ]
        return min(of_the_run, default=self.first_seq)

    @cached_property
    def last_seq(self) -> int:
        """Number of the session's closing record."""
        account = self.present.account
        return next(
            event.seq
            for event in self.events
            if event.kind == "session.closed"
            and (event.payload["account"], event.payload["session"]) == (account, self.session)
        )

    def settings(self, changes: Mapping[str, Any] | None = None) -> tuple[RecordedSettings, tuple[str, ...]]:
        """The settings of then, with other values for a hypothetical run, and what is to be said of them.

        Raises
        ------
        ManifestMismatch
            The session was decided under several settings, or their text is not in the journal.
        """
        hashes = {event.config_hash for event in self.decided}
        (recorded, *others) = sorted(hashes)
        texts = {e.payload["config_hash"]: e.payload["config"] for e in self.events
                 if e.kind == "config.recorded"}  # fmt: skip
        if others or recorded not in texts:
            raise ManifestMismatch(
                f"{self.session} was decided under settings {', '.join(h[:12] for h in sorted(hashes))}, "
                "of which the journal does not hold one text",
                next_step="replay a session that was decided under one recorded configuration",
            )
        config = json.loads(texts[recorded])
        settings, unknown = settings_of_record(config, recorded, desk=self.present, changes=changes)
        told = [f"this version has no setting {key}; it was left out" for key in unknown]
        if recorded != self.present.config_hash:
            now = self.present.config_hash[:12]
            told.append(f"the settings were {recorded[:12]}, they are {now}; those of then are used")
        return settings, tuple(told)

    def require_whole(self) -> None:
        """Refuse unless the record is closed, complete from the first event on, and its inputs unaltered.

        Raises
        ------
        DataError
            The session was not closed, nothing was decided, events are archived, or an input is missing.
        ManifestMismatch
            An input is not what it was.
        """
        if not any(
            e.kind == "session.closed" and e.payload["account"] == self.present.account
            and e.payload["session"] == self.session for e in self.events
        ):  # fmt: skip
            raise DataError(
                f"session {self.session} was never closed: its record is not whole",
                next_step="run the job again; it resumes and closes the session",
            )
        if not self.decided:
            raise DataError(
                f"the journal holds no decision of {self.session}",
                next_step="bring the archive of those events back, or name another run",
            )
        if self.events[0].seq != 1:
            raise DataError(
                "events before this session are archived: a replay starts from the first",
                next_step="replay on a copy of the journal from before the archive",
            )
        if self.inputs is not None:
            settings, _ = self.settings()
            features = select_features(settings.model.features)
            require_whole_inputs(
                self.desk, self.inputs, universe=settings.universe,
                as_of_ns=int(self.decided[0].payload["scheduled_ns"]),
                rows=max(_LEAST_LOOKBACK, *(feature.lookback for feature in features)),
            )  # fmt: skip

    def versions(self, *, accept: bool) -> tuple[str, ...]:
        """Interpreter, libraries, time zones and schema that are not those of the run; accepted in words.

        Raises
        ------
        ManifestMismatch
            There are any and `accept` does not allow them.
        """
        found = version_differences(self.inputs, journal_schema=self.journal_schema)
        if found and not accept:
            raise ManifestMismatch(
                f"{self.run_id} was computed by other versions: {'; '.join(found)}",
                next_step="use the environment of then, or compare all the same with --accept-versions",
                versions=found,
            )
        return found

    def changes_since(self) -> tuple[str, ...]:
        """Code and bars that are not those of then; they explain a divergence and forbid nothing."""
        told = []
        ran = [e.payload["code_hash"] for e in self.events if e.kind == "run.started"
               and e.payload["run_id"] == self.run_id]  # fmt: skip
        present = present_code_hash(self.desk.settings)
        if ran and ran[-1] != present:
            told.append(f"the software was {str(ran[-1])[:12]}, it is {present[:12]}")
        bars = {str(event.payload["bars_fingerprint"]) for event in self.decided}
        if bars != {self.desk.bars.fingerprint()}:
            told.append("the bars store has other content than then; what was known then is read from it")
        return tuple(told)


def find_run(run: str | Path, config: str | Path | Settings) -> RecordedRun:
    """The run by name or folder; its parameters are proved against the journal's record.

    Parameters
    ----------
    config : path or Settings
        Of the desk, for a run given by name.

    Raises
    ------
    UsageError
        There is no such run.
    Refused, ManifestMismatch
        The parameters of its folder cannot be read, or were altered.
    """
    folder, name = Path(run), str(run)
    if (folder / "parameters.json").is_file():
        found = read_parameters(folder / "parameters.json", expected_hash=recorded_hash)
        settings = load_settings(found.config_path, overrides=found.overrides, keys_needed=False)
        return _recorded(found.run_id, found.session, settings)
    settings = config if isinstance(config, Settings) else load_settings(str(config), keys_needed=False)
    if folder.is_dir():
        name = f"{folder.absolute().parent.name}/{folder.absolute().name}"
    sessions = _sessions_of(settings, name)
    if not sessions:
        raise UsageError(
            f"there is no run {name!r}", next_step="workbench jobs history lists the runs of this desk"
        )
    kept = Desk(settings).paths.runs / name / "parameters.json"
    return find_run(kept.parent, config) if kept.is_file() else _recorded(name, sessions[0], settings)


def _sessions_of(settings: Settings, run_id: str) -> list[str]:
    """The sessions that the newest journal with that run knows it by; none = no journal has it.

    An older epoch is only opened for what no later one has: where it cannot be read it holds nothing else up.
    """
    for epoch in reversed(epochs_of(settings)):
        with reading_epoch(settings, epoch) as journal:
            sessions = [str(row["session"]) for row in journal.rows("runs", run_id=run_id)]
            inputs = journal.events(kinds=("run.inputs",))
            sessions += [str(e.payload["session"]) for e in inputs if e.payload["run_id"] == run_id]
        if sessions:
            return sessions
    return []


def _recorded(run_id: str, session: str, settings: Settings) -> RecordedRun:
    """The run in the epoch that decided it: a later one has its name, to use it once, and not its events."""
    numbers = epochs_of(settings)
    for epoch in reversed(numbers):
        with reading_epoch(settings, epoch) as journal:
            if journal.rows("decisions", account=settings.account, session=session):
                return _run_of(journal, run_id, session, settings, epoch)
    with reading_epoch(settings, numbers[-1]) as journal:  # nobody decided it: as the present one knows it
        return _run_of(journal, run_id, session, settings, numbers[-1])


def _run_of(
    journal: JournalDatabase, run_id: str, session: str, settings: Settings, epoch: int
) -> RecordedRun:
    return RecordedRun(run_id, session, settings, journal.events(), journal.schema_version, epoch)
