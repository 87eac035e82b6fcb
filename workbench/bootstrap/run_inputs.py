"""What a run of the trading loop leaves so that it can be replayed, and the proof that it is still all there.

The journal holds the hashes (`run.inputs`, `run.sealed`), the run's folder the files: the settings, and for a
venue outside the process the messages in order. Bars, model and cost model stay where they are, each under
its own hash.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.adapters.message_tape import MESSAGES, MessageTape
from workbench.adapters.notebook_runner.run_folder import make_folder, write_durably
from workbench.adapters.versions import present_versions
from workbench.bootstrap.desk import Desk
from workbench.bootstrap.venues import VenueLink, uses_alpaca
from workbench.core.ports import BarStore, Event, RecordedEvent
from workbench.errors import DataError, ManifestMismatch, WorkbenchError
from workbench.services.messages import STAGE, Heard
from workbench.services.promotion import find_cost_model, read_model

if TYPE_CHECKING:
    from workbench.bootstrap.trading import Account, Job
    from workbench.services.session import TradingSession

CONFIG: Final = "config.json"
PARAMETERS: Final = "parameters.json"


# --- what a run leaves ------------------------------------------------------------------------------


def heard(account: Account, run_id: str) -> Account:
    """The account with a venue whose messages are kept; as it is where the venue is in this process.

    The embedded venue keeps its own commands.
    """
    settings = account.desk.settings
    if not uses_alpaca(settings):
        return account
    folder = account.desk.paths.runs / run_id
    make_folder(folder)
    tape, link, journal = MessageTape(folder / MESSAGES), account.link, account.journal

    def hang_up() -> None:
        digest = tape.seal()
        sealed = {"run_id": run_id, "account": settings.account, "messages": tape.count, "sha256": digest}
        with contextlib.suppress(WorkbenchError):  # evidence: its lack is found by the replay
            if digest:
                journal.commit([Event("run.sealed", sealed)])
        link.hang_up()

    parts: dict[str, Any] = {
        "broker": Heard(link.broker, "broker", tape.add), "clock": Heard(link.clock, "clock", tape.add),
        "stream": Heard(link.stream, "stream", tape.add) if link.stream is not None else None,
    }  # fmt: skip
    return replace(account, link=_HeardLink(**{**vars(link), **parts, "hang_up": hang_up}, tape=tape))


@dataclass(frozen=True)
class _HeardLink(VenueLink):
    tape: MessageTape | None = None


def record_inputs(job: Job) -> Job:
    """Journal what this run computes with, before it computes anything; returns the job.

    Raises
    ------
    StorageFailed
        It cannot be kept; the account was given back, nothing was sent.
    """
    try:
        _record_inputs(job)
    except WorkbenchError:
        job.authority.release()
        raise
    return job


def _record_inputs(job: Job) -> None:
    account, trading = job.account, job.trading
    settings, link = account.desk.settings, account.link
    folder = account.desk.paths.runs / job.run_id
    make_folder(folder)
    config = settings.to_json().encode()
    write_durably(folder / CONFIG, config)
    files = {CONFIG: hashlib.sha256(config).hexdigest()}
    if (folder / PARAMETERS).is_file():
        files[PARAMETERS] = hashlib.sha256((folder / PARAMETERS).read_bytes()).hexdigest()
    trading.timer.budgets_ms = settings.budgets.by_stage()
    if isinstance(link, _HeardLink) and link.tape is not None:
        tape = link.tape
        trading.timer.on_stage = lambda name: tape.add([STAGE, name])
    inputs = {
        "versions": dict(present_versions()), "journal_schema": account.journal.schema_version,
        "code_hash": job.authority.code_hash, "config_hash": settings.config_hash, "files": files,
        "bars_sha256": known_bars(account.desk, trading), "model_id": trading.strategy.model_id,
        "cost_model_id": trading.strategy.cost_model_id, "messages": isinstance(link, _HeardLink),
    }  # fmt: skip
    payload = {
        "run_id": job.run_id, "account": settings.account, "session": job.session, "inputs": inputs,
    }  # fmt: skip
    account.journal.commit([Event("run.inputs", payload)])


def known_bars(desk: Desk, trading: TradingSession) -> str:
    """Hash of the bars that the first decision of the session will see; "" where none are known."""
    return bars_hash(
        desk.bars, trading.strategy.universe, as_of_ns=trading.times.decision_ns[0],
        rows=trading.strategy.lookback,
    )  # fmt: skip


def bars_hash(bars: BarStore, universe: Sequence[str], *, as_of_ns: int, rows: int) -> str:
    """Hex sha256 of a panel as it was known; "" where it cannot be read."""
    try:
        panel = bars.read(universe, as_of_ns=as_of_ns, rows=rows)
    except DataError:
        return ""
    found = hashlib.sha256(repr((panel.symbols, as_of_ns, rows)).encode())
    for column in (panel.ts_ns, panel.open, panel.high, panel.low, panel.close, panel.volume):
        found.update(column.tobytes())
    return found.hexdigest()


# --- whether it is all there ------------------------------------------------------------------------


def inputs_of(events: Sequence[RecordedEvent], run_id: str, session: str) -> Mapping[str, Any] | None:
    """The recorded inputs of a run, else of a run of its session; None when there are none."""
    found = [event.payload for event in events if event.kind == "run.inputs"]
    mine = [payload for payload in found if payload["run_id"] == run_id]
    same = mine or [payload for payload in found if payload["session"] == session]
    return same[-1] if same else None


def require_whole_inputs(
    desk: Desk, recorded: Mapping[str, Any], *, universe: Sequence[str], as_of_ns: int, rows: int
) -> None:
    """Refuse unless every input of the run is there and has the bytes that it had then.

    Raises
    ------
    DataError
        A file of the run's folder is missing.
    ManifestMismatch
        A file, model, cost model or the bars are not those of then; each is named.
    """
    inputs, folder = recorded["inputs"], desk.paths.runs / str(recorded["run_id"])
    restore = f"restore {folder} from a backup; a replay of other inputs proves nothing"
    wrong = []
    for name, digest in sorted(inputs["files"].items()):
        path = folder / name
        if not path.is_file():
            raise DataError(f"the run's input {path} is missing", next_step=restore, path=str(path))
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            wrong.append(f"{path} was altered since")
    reads: tuple[Callable[[], object], ...] = (
        lambda: read_model(desk.registry, inputs["model_id"]),
        lambda: find_cost_model(desk.journal, desk.registry, inputs["cost_model_id"]),
    )
    for read in reads:
        try:
            read()
        except WorkbenchError as error:
            wrong.append(error.message)
    present = bars_hash(desk.bars, universe, as_of_ns=as_of_ns, rows=rows)
    if present != inputs["bars_sha256"]:
        wrong.append("the bars known at the first decision are not those of then")
    if wrong:
        raise ManifestMismatch("; ".join(wrong), next_step=restore, inputs=tuple(wrong))


def version_differences(recorded: Mapping[str, Any] | None, *, journal_schema: int) -> tuple[str, ...]:
    """Interpreter, libraries, time zones and journal schema that are not those of the run."""
    if recorded is None:
        return ("the run did not record the versions that it computed with",)
    inputs = recorded["inputs"]
    now = {**present_versions(), "journal schema": str(journal_schema)}
    then = {**inputs["versions"], "journal schema": str(inputs["journal_schema"])}
    return tuple(
        f"{name} was {then.get(name, 'absent')}, it is {now.get(name, 'absent')}"
        for name in sorted({*now, *then})
        if then.get(name) != now.get(name)
    )


def messages_hash(events: Sequence[RecordedEvent], run_id: str) -> str:
    """The hash that the run's messages were sealed with.

    Raises
    ------
    DataError
        They never were: the run was cut off, or its disk was full.
    """
    sealed = [e.payload for e in events if e.kind == "run.sealed" and e.payload["run_id"] == run_id]
    if not sealed:
        raise DataError(
            f"the messages of {run_id} were never sealed: they may not be whole",
            next_step="only a run that ended by itself can be replayed from its messages",
        )
    return str(sealed[-1]["sha256"])


def messages_path(desk: Desk, run_id: str) -> Path:
    """Where the messages of a run lie."""
    return desk.paths.runs / run_id / MESSAGES
