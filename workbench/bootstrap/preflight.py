"""Is the desk ready for its next session: every question asked, nothing changed, what is missing named."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from workbench.adapters.armed_file import ArmedFileOnDisk
from workbench.adapters.clock import SystemClock
from workbench.adapters.machine import clock_is_synchronised, free_bytes, readable_by_others, writable
from workbench.bootstrap.declared import declared_jobs
from workbench.bootstrap.desk import Desk, has_journal
from workbench.bootstrap.monitoring import last_closed, last_monitored
from workbench.bootstrap.resources import present_code_hash
from workbench.bootstrap.trading import Account, load_strategy, session_times
from workbench.bootstrap.venues import VenueLink, data_url, embedded_venue, open_venue, uses_alpaca
from workbench.config import Settings
from workbench.core.types import NANO, Mode
from workbench.errors import WorkbenchError
from workbench.services.preflight import MAX_CLOCK_SKEW_NS, Check
from workbench.services.promotion import current_cost_model
from workbench.services.succession import next_session
from workbench.services.supervision import HALTED, Supervision

#: A session's journal, notebooks and logs, many times over.
FREE_BYTES: Final = 1_000_000_000
#: Sessions that the calendar must still know.
AHEAD_SESSIONS: Final = 10

Answer = tuple[bool, str]


@dataclass(frozen=True)
class Readiness:
    """What was found.

    Attributes
    ----------
    session : str
        The session that the questions were about; "" when not even that could be told.
    checks : tuple of Check
        One line a question, in the order in which a person would ask.
    """

    session: str
    checks: tuple[Check, ...]

    @property
    def ready(self) -> bool:
        """Whether every line holds."""
        return all(check.ok for check in self.checks)


def readiness(settings: Settings) -> Readiness:
    """Everything that the desk's next session needs; asks the venue, sends nothing and writes nothing."""
    questions = _Questions(settings)
    checks = [questions.ask(*question) for question in questions.before_venue()]
    if questions.desk.initialised:
        try:
            with _link(settings, questions.desk) as link:
                questions.open(link)
                checks += [questions.ask(*question) for question in questions.at_venue()]
        except WorkbenchError as error:
            checks.append(Check("venue answers", False, error.message, error.next_step))
    return Readiness(questions.session, tuple(checks))


@contextmanager
def _link(settings: Settings, desk: Desk) -> Iterator[VenueLink]:
    """The venue; the embedded one as a copy of its record, because opening the record itself would write."""
    if uses_alpaca(settings):
        link = open_venue(settings, desk, start_ns=0)
        try:
            yield link
        finally:
            link.close()
        return
    with tempfile.TemporaryDirectory() as folder:
        for file in desk.paths.root.glob(f"{desk.paths.venue.name}*"):
            shutil.copy2(file, folder)
        link = embedded_venue(settings, desk, Path(folder) / desk.paths.venue.name, start_ns=0)
        try:
            yield link
        finally:
            link.close()


class _Questions:
    """The questions, and what later ones need of the answers to earlier ones."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.desk = Desk(settings)
        self.session = ""

    def ask(self, name: str, question: Callable[[], Answer], step: str) -> Check:
        """One line; a question that cannot be answered is one that does not hold."""
        try:
            ok, found = question()
        except WorkbenchError as error:
            return Check(name, False, error.message, error.next_step or step)
        except Exception as error:  # boundary: whatever it was, nobody knows that this line holds
            return Check(name, False, f"{type(error).__name__}: {error}", step)
        return Check(name, ok, found, step)

    def before_venue(self) -> tuple[tuple[str, Callable[[], Answer], str], ...]:
        """What can be asked of this machine alone."""
        return (
            ("keys of the venue", self._keys, "set WORKBENCH_SECRETS__VENUE_KEY and ..._SECRET"),
            ("desk", self._desk, "workbench init"),
            ("files are private", self._files, "chmod 600 the file"),
            ("room on the disk", self._disk, "free space: without a journal nothing is sent"),
            ("time of the machine", self._time, "switch on chrony or systemd-timesyncd"),
            ("calendar", self._calendar, "update exchange-calendars"),
            ("declared jobs", self._jobs, "workbench jobs check"),
        )  # fmt: skip

    def at_venue(self) -> tuple[tuple[str, Callable[[], Answer], str], ...]:
        """What needs the journal, and an answer of the venue."""
        return (
            ("journal is whole", self._journal, "restore it from a backup; workbench journal verify"),
            ("permission to trade", self._permission, 'workbench resume --person NAME --reason "..."'),
            ("accepted code", self._code, "review the change, then resume accepts the present code"),
            ("venue account open", self._account, "look at the venue's account page"),
            ("clocks agree", self._clocks, "set the machine's clock; nothing is sent while they differ"),
            ("bars are fresh", self._bars, "workbench data ingest, then workbench data status"),
            ("quotes of every symbol", self._quotes, "look at the data subscription and venue.feed"),
            ("model and cost model", self._strategy, "workbench candidates; workbench calibrate"),
            ("the last session was monitored", self._monitored, "workbench jobs run drift_report"),
            ("limits fit the account", self._limits, "lower limits.max_gross_notional_usd, or fund it"),
            ("nobody else trades", self._lease, "wait until it expires, or end that run"),
        )  # fmt: skip

    def open(self, link: VenueLink) -> None:
        """Take the venue, and name the session that is next."""
        self._venue = link
        calendar, journal = self.desk.calendar, self.desk.journal
        if self.settings.mode is Mode.REPLAY:
            account = self.settings.account
            self.session = next_session(journal, calendar, account=account, venue_ns=link.last_ns)
        else:
            now_ns = link.clock.now_ns()
            after = calendar.session_after_ns(now_ns)
            before = calendar.previous_session(after)
            self.session = before if now_ns <= calendar.session_close_ns(before) else after
        decision_ns = session_times(self.settings, calendar, self.session).decision_ns[0]
        # A replay is judged at its next decision, everything else now.
        self._now_ns = decision_ns if self.settings.mode is Mode.REPLAY else link.clock.now_ns()
        self._decision_ns = decision_ns

    # --- this machine --------------------------------------------------------------------------------

    def _keys(self) -> Answer:
        secrets = self.settings.secrets
        if not uses_alpaca(self.settings):
            return True, "the embedded venue needs none"
        missing = [name for name in ("venue_key", "venue_secret") if getattr(secrets, name) is None]
        return not missing, f"missing: {', '.join(missing)}" if missing else "both are set"

    def _desk(self) -> Answer:
        root = self.desk.paths.root
        if not has_journal(self.settings):
            return False, f"there is no desk at {root}"
        return writable(root), f"{root}, mode {self.settings.mode}, settings {self.settings.config_hash[:12]}"

    def _files(self) -> Answer:
        kept = [path for path in (self.desk.paths.anchor_key,) if path.exists()]
        loose = [path.name for path in kept if readable_by_others(path)]
        return not loose, f"others may read {', '.join(loose)}" if loose else "only their owner reads them"

    def _disk(self) -> Answer:
        free = free_bytes(self.desk.paths.root)
        return free >= FREE_BYTES, f"{free / 1e9:,.1f} GB free, {FREE_BYTES / 1e9:,.1f} wanted"

    def _time(self) -> Answer:
        state = clock_is_synchronised()
        words = {True: "kept in step", False: "kept in step by nothing", None: "cannot be asked"}[state]
        if self.settings.mode is Mode.REPLAY:
            return True, f"{words}; a replay has its own time"
        return state is True, words

    def _calendar(self) -> Answer:
        calendar = self.desk.calendar
        known = calendar.sessions_between(calendar.local_date(_wall_ns()), calendar.last)
        return len(
            known
        ) >= AHEAD_SESSIONS, f"{calendar.name} to {calendar.last}, {len(known)} sessions ahead"

    def _jobs(self) -> Answer:
        jobs = declared_jobs(self.settings)
        return True, f"{sum(bool(job.schedule) for job in jobs.values())} of {len(jobs)} have a schedule"

    # --- journal and venue ---------------------------------------------------------------------------

    def _journal(self) -> Answer:
        report = self.desk.journal.verify()
        return report.ok, f"{report.events} events" if report.ok else report.reason

    def _permission(self) -> Answer:
        permission = self._supervision().permission()
        return permission.state != HALTED, f"{permission.state}: {permission.reason}"

    def _code(self) -> Answer:
        accepted, present = self._supervision().permission().code_hash, present_code_hash(self.settings)
        return accepted == present, f"present {present[:12]}, accepted {accepted[:12] or 'none'}"

    def _account(self) -> Answer:
        account = self._venue.broker.account()
        found = f"{account.account}, buying power {account.buying_power_micro / 1e6:,.2f} USD"
        return not account.blocked, found + (", blocked" if account.blocked else "")

    def _clocks(self) -> Answer:
        apart_ns = self._venue.broker.now_ns() - self._venue.clock.now_ns()
        return abs(apart_ns) <= MAX_CLOCK_SKEW_NS, f"{apart_ns / 1e9:+.3f} s at the venue"

    def _bars(self) -> Answer:
        expected = self.desk.calendar.previous_session(self.session)
        stored = set(self.desk.bars.symbols())
        known = [symbol for symbol in self.settings.universe if symbol in stored]
        behind = self.desk.bars.freshness(as_of_ns=self._decision_ns, symbols=known) if known else {}
        late = [symbol for symbol in self.settings.universe if behind.get(symbol, -1)]
        words = f"no bar of {expected}: {', '.join(late)}" if late else f"up to {expected}"
        return not late, words

    def _quotes(self) -> Answer:
        """Entitlement and delay of the feed show in the age of what it answers while the market is open."""
        if not uses_alpaca(self.settings):
            return True, "the embedded venue quotes from the bars"
        universe, limit_s = self.settings.universe, self.settings.limits.max_quote_age_s
        ages = self._venue.broker.quotes(universe).age_ns(self._venue.broker.now_ns())
        found = {symbol: int(age) for symbol, age in zip(universe, ages, strict=True)}
        missing = [symbol for symbol, age in found.items() if age < 0]
        feed = f"feed {self.settings.venue.feed} at {data_url(self.settings)}"
        if missing:
            return False, f"{feed}: no quote of {', '.join(missing)}"
        words = ", ".join(f"{symbol} {age / 1e9:,.1f} s" for symbol, age in found.items())
        if not self._is_open():
            return True, f"{feed}; the exchange is closed; last quotes: {words}"
        old = [symbol for symbol, age in found.items() if age > limit_s * NANO]
        return not old, f"{feed}: {words}" + (f"; older than {limit_s:g} s: {', '.join(old)}" if old else "")

    def _strategy(self) -> Answer:
        account = Account(self.desk, self.desk.journal, self.desk.calendar, self._venue, self._supervision())
        strategy = load_strategy(account, session=self.session, now_ns=self._decision_ns)
        costs = current_cost_model(
            self.desk.journal, self.desk.registry, self._decision_ns, mode=self.settings.mode.value
        )
        return True, f"model {strategy.model_id[:12]}, {costs.source} costs ok"

    def _limits(self) -> Answer:
        account, limits = self._venue.broker.account(), self.settings.limits
        equity_usd = account.equity_micro / 1e6
        gross = float(limits.max_gross_notional_usd)
        words = (
            f"gross {gross:,.0f} USD, equity {equity_usd:,.0f}, order {limits.max_order_notional_usd:,} USD"
        )
        return gross <= 2.0 * equity_usd, words  # Reg T: what an overnight margin account may hold

    def _monitored(self) -> Answer:
        """A desk that is monitored has looked at its last session; one that never was is told so."""
        account, journal = self.settings.account, self.desk.journal
        last = last_monitored(self.settings, journal)
        if last is None:
            return True, "monitoring has never run here; jobs.toml schedules drift_report"
        closed = last_closed(journal, account)
        found = f"monitored up to {last.session}, {last.level.value}"
        return last.session == closed, found if last.session == closed else f"{found}; {closed} was not"

    def _lease(self) -> Answer:
        rows = self.desk.journal.rows("leases", account=self.settings.account)
        held = rows and not rows[0]["released"] and int(rows[0]["until_wall_ns"]) > _wall_ns()
        return not held, f"held by {rows[0]['holder']}" if held else "the lease is free"

    def _supervision(self) -> Supervision:
        armed = ArmedFileOnDisk(self.desk.paths.armed)
        return Supervision(self.desk.journal, armed, self.settings.account)

    def _is_open(self) -> bool:
        calendar = self.desk.calendar
        now_ns = self._venue.broker.now_ns()
        return calendar.session_open_ns(self.session) <= now_ns <= calendar.session_close_ns(self.session)


def _wall_ns() -> int:
    return SystemClock().wall_ns()
