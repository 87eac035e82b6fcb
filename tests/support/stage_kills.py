"""One session of all jobs in which a process or the database is killed at a named stage of a named job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fortnight import ACCOUNT, Crash, Ending, Host, World
from places import Place, PostgresForTests

from workbench.adapters.journal import JournalDatabase
from workbench.core.jobs import Job, RunRequest
from workbench.core.types import NANO
from workbench.services.jobs import JobService
from workbench.services.scheduler import Tick

SESSION = "2026-03-13"
#: From the evening before, so that nothing else is due, to the day after.
FIRST, LAST = "2026-03-12 23:00", "2026-03-14 12:00"
STAGES = (
    "before its start is recorded",
    "after its start",
    "in its kernel",
    "before its end",
    "after its end",
)
#: A kernel is there at one stage only.
KILLS = [(victim, stage) for victim in ("scheduler", "runner", "database") for stage in STAGES] + [
    ("kernel", STAGES[2])
]


class KillingWorld(World):
    """A world that strikes once: at a stage of the first run of one job.

    Parameters
    ----------
    server : PostgresForTests or None
        The journal's server, which is killed when it is the victim; None = a file.
    """

    def __init__(
        self, folder: Path, jobs: Mapping[str, Job], *, job: str, victim: str, stage: str,
        server: PostgresForTests | None = None, place: Place | None = None,
    ) -> None:  # fmt: skip
        super().__init__(folder, jobs, start=FIRST)
        if place is not None:
            self.journal.close()
            self.journal = JournalDatabase(
                place.url, anchor_path=folder / "server.anchor", anchor_key=b"key", config_hash="f" * 64,
                wall_ns=self.clock.wall_ns,
            )  # fmt: skip
        self.job, self.victim, self.stage, self.server = job, victim, stage, server
        self.struck = False
        self.struck_ns = 0
        self.down = False
        self.fallen: list[Host] = []

    def service(self, host: Host, ending: Ending) -> JobService:
        service = super().service(host, ending)
        service._journal = Watched(self, host, ending)
        return service

    def began(self, ending: Ending, request: RunRequest) -> None:
        super().began(ending, request)
        if self._is_here(ending, STAGES[2]):
            self._note()
            if self.victim == "database":
                self.kill_the_database()
            elif self.victim == "scheduler":
                self._fell(self.hosts[0])
            else:  # a dead kernel is judged by its runner, a dead runner by nobody
                ending.words = "failed" if self.victim == "kernel" else "crash"
                ending.at_ns = self.clock.now_ns() + NANO

    def strike(self, host: Host, ending: Ending, stage: str) -> None:
        """What happens to a runner that is at this stage."""
        if not self._is_here(ending, stage):
            return
        self._note()
        if self.victim == "database":
            self.kill_the_database()
            return
        if self.victim == "scheduler":
            self._fell(host)
        ending.words, ending.at_ns = "crash", self.clock.now_ns()
        raise Crash

    def end(self, ending: Ending) -> None:
        """A run whose process has ended by itself leaves nothing more behind."""
        if ending.thread is not None and not ending.thread.is_alive():
            ending.words = "crash"
        super().end(ending)

    def _fell(self, host: Host) -> None:
        host.scheduler = Fallen()  # type: ignore[assignment]
        self.fallen.append(host)

    def kill_the_database(self) -> None:
        assert self.server is not None
        self.server.stop("immediate")
        self.down = True

    def trade(self) -> None:
        """After every look: who fell gets up, and a person resumes an account that was looked into."""
        if self.down:
            assert self.server is not None
            self.server.start()
            self.down = False
        for host in self.fallen:
            self.lose(host)
            host.restart()
        self.fallen.clear()
        for ending in (one for host in self.hosts for one in host.open):
            if ending.thread is not None and not ending.thread.is_alive():
                ending.at_ns = self.clock.now_ns()  # seen when it ends, not when it would have
        self.halted = ""
        super().trade()

    def more_wakes(self) -> list[int]:
        """A scheduler looks every second; what it finds after a kill depends on it for some minutes."""
        now_ns = self.clock.now_ns()
        return [now_ns + 5 * NANO] if self.struck and now_ns < self.struck_ns + 180 * NANO else []

    def proof_of_death(self) -> str:
        """The holder when its kernel is gone: on one machine its locks prove it."""
        rows = self.journal.rows("leases", account=ACCOUNT)
        held = bool(rows) and not rows[0]["released"] and rows[0]["holder"] not in self.alive
        return str(rows[0]["holder"]) if held else ""

    def _note(self) -> None:
        self.struck, self.struck_ns = True, self.clock.now_ns()

    def _is_here(self, ending: Ending, stage: str) -> bool:
        return not self.struck and (ending.job, self.stage) == (self.job, stage)


class Fallen:
    """A scheduler whose process is gone."""

    def tick(self) -> Tick:
        return Tick(False)


class Watched:
    """A run's journal, which tells the world where the run is."""

    def __init__(self, world: KillingWorld, host: Host, ending: Ending) -> None:
        self._world, self._host, self._ending = world, host, ending

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world.journal, name)

    def commit(self, events: Sequence[Any], **options: Any) -> Any:
        kind = events[0].kind
        around = {"run.started": STAGES[:2], "run.finished": STAGES[3:]}.get(kind)
        if around:
            self._world.strike(self._host, self._ending, around[0])
        done = self._world.journal.commit(events, **options)
        if around:
            self._world.strike(self._host, self._ending, around[1])
        return done


__all__ = ["ACCOUNT", "KILLS", "LAST", "SESSION", "STAGES", "KillingWorld"]
