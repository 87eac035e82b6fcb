"""The preflight table: what must hold before a session trades, what was found, what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.core.hours import SessionHours, hours_trouble
from workbench.core.ledger import Ledger
from workbench.core.ports import BarStore, Broker, Calendar, Clock
from workbench.core.types import NANO
from workbench.errors import DataError, OutcomeUnknown
from workbench.services.supervision import HALTED, Permission

if TYPE_CHECKING:
    from workbench.services.decision import Strategy
    from workbench.services.session import SessionTimes

#: Largest difference between our clock and the venue's before nothing is sent.
MAX_CLOCK_SKEW_NS = 2 * NANO
#: Two ratios of shares nearer to each other than this are one: prices are quotients of floats.
SAME_TERMS = 1e-6


@dataclass(frozen=True)
class Check:
    """One line of the preflight table; `next_step` is kept only when the line fails."""

    name: str
    ok: bool
    found: str
    next_step: str = ""

    def __post_init__(self) -> None:
        if self.ok:
            object.__setattr__(self, "next_step", "")


def preflight_checks(
    *,
    times: SessionTimes,
    strategy: Strategy,
    bars: BarStore,
    broker: Broker,
    calendar: Calendar,
    clock: Clock,
    permission: Permission,
    code_hash: str,
    ledger: Ledger,
    begun: bool,
) -> tuple[Check, ...]:
    """Every check, in the order in which a supervisor would ask; none hides another.

    Parameters
    ----------
    begun : bool
        Whether the session has a decision already: then it may still be closed when it is over.
    """
    strangers = sorted(s for s, q in ledger.positions_nano.items() if q and s not in strategy.universe)
    return (
        Check(
            "permission to trade",
            permission.state != HALTED,
            f"{permission.state}: {permission.reason}",
            'workbench resume --person NAME --reason "..."',
        ),
        Check(
            "accepted code",
            permission.code_hash == code_hash,
            f"running {code_hash[:12]}, accepted {permission.code_hash[:12] or 'none'}",
            "review the change, then resume accepts the present code",
        ),
        Check(
            "session still open to decisions",
            begun or clock.now_ns() <= times.end_ns,
            times.session,
            "run the next session instead: a session that is over is never traded",
        ),
        _freshness(times, strategy, bars, calendar),
        _costs(strategy, clock.now_ns(), ledger),
        Check("model", bool(strategy.model_id), f"id {strategy.model_id[:12]}", "workbench train"),
        Check(
            "ledger opened",
            bool(ledger.cash_micro) or bool(ledger.positions_nano),
            f"cash {ledger.cash_micro / 1e6:,.2f} USD",
            'workbench adopt --person NAME --reason "..."',
        ),
        Check(
            "positions within the universe",
            not strangers,
            ", ".join(strangers) or "yes",
            "put these symbols back into the universe until they are sold: they cannot be priced without",
        ),
        _share_terms(times, bars, broker, calendar, ledger),
        _account(broker),
        _clocks(broker, clock),
        _hours(times, broker, clock),
    )


def failed(checks: tuple[Check, ...]) -> tuple[Check, ...]:
    """The checks that do not hold, in their order."""
    return tuple(check for check in checks if not check.ok)


def _costs(strategy: Strategy, now_ns: int, ledger: Ledger) -> Check:
    """A cost model that may not be used stops a session with nothing to get out of, never an exit."""
    status = strategy.cost_problem if strategy.cost_problem != "ok" else strategy.cost_model.status(now_ns)
    held = any(ledger.positions_nano.values())
    words = f"{strategy.cost_model.source} {strategy.cost_model_id[:12]}: {status}"
    if status != "ok" and held:
        words += ", so only risk-reducing orders"
    return Check(
        "cost model", status == "ok" or held, words, "workbench calibrate --prior --as-of DATE --person NAME"
    )


def _freshness(times: SessionTimes, strategy: Strategy, bars: BarStore, calendar: Calendar) -> Check:
    first_ns = times.decision_ns[0]
    expected = calendar.previous_session(times.session)
    step = "workbench data ingest, then workbench data status"
    try:
        panel = bars.read(strategy.universe, as_of_ns=first_ns, rows=1)
    except DataError as error:
        return Check("data fresh", False, error.message, error.next_step or step)
    fresh = bool(len(panel.ts_ns)) and int(panel.ts_ns[-1]) == calendar.session_close_ns(expected)
    missing = [s for at, s in enumerate(panel.symbols) if not (fresh and panel.tradable[-1, at])]
    found = f"bars up to {expected}" if not missing else f"no bar of {expected} for {', '.join(missing)}"
    # A single missing symbol is judged symbol by symbol later; without any bar there is no session.
    return Check("data fresh", len(missing) < len(panel.symbols), found, step)


def _share_terms(
    times: SessionTimes, bars: BarStore, broker: Broker, calendar: Calendar, ledger: Ledger
) -> Check:
    """Whether prices and positions of a decision count in the same shares.

    What the store applies to the last bar of a symbol that is held must be what the venue has done to the
    account since: otherwise equity, sizes and limits would mix old shares and new.
    """
    held = tuple(sorted(symbol for symbol, quantity in ledger.positions_nano.items() if quantity))
    step = "workbench data ingest with the split, or ask the venue: one of both does not know it"
    if not held:
        return Check("share terms agree", True, "nothing is held", step)
    since_ns = calendar.session_close_ns(calendar.previous_session(times.session))
    try:
        printed, adjusted = (
            bars.read(held, as_of_ns=times.decision_ns[0], rows=1, view=view) for view in ("raw", "adjusted")
        )
    except DataError as error:
        return Check("share terms agree", False, error.message, error.next_step or step)
    counted = dict.fromkeys(held, 1.0)  # of a symbol without a bar nothing is known, so nothing is assumed
    if len(printed.ts_ns):
        ratios = (printed.close[-1] / adjusted.close[-1]).tolist()
        counted |= {symbol: ratio for symbol, ratio in zip(held, ratios, strict=True) if ratio == ratio}
    done = dict.fromkeys(held, 1.0)
    try:
        activities = broker.activities(since_ns=since_ns)
    except OutcomeUnknown as error:
        return Check("share terms agree", False, error.message, error.next_step or step)
    for activity in activities:
        if activity.symbol in done and activity.at_ns < times.end_ns:
            done[activity.symbol] *= activity.new_shares / activity.old_shares
    apart = [
        f"{symbol} x{counted[symbol]:g} in the prices, x{done[symbol]:g} at the venue"
        for symbol in held
        if not abs(counted[symbol] / done[symbol] - 1.0) < SAME_TERMS
    ]
    return Check("share terms agree", not apart, "; ".join(apart) or "yes", step)


def _account(broker: Broker) -> Check:
    step = "look at the venue's account page; nothing is sent while it is blocked"
    try:
        account = broker.account()
    except OutcomeUnknown as error:
        return Check("venue account open", False, error.message, step)
    found = f"{account.account}, buying power {account.buying_power_micro / 1e6:,.2f} USD"
    return Check("venue account open", not account.blocked, found, step)


def _clocks(broker: Broker, clock: Clock) -> Check:
    step = "set the machine's clock; nothing is sent while they differ by more than 2 s"
    try:
        ahead_ns = broker.now_ns() - clock.now_ns()
    except OutcomeUnknown as error:
        return Check("clocks agree", False, error.message, error.next_step or step)
    found = f"{ahead_ns / 1e9:+.3f} s at the venue"
    return Check("clocks agree", abs(ahead_ns) <= MAX_CLOCK_SKEW_NS, found, step)


def _hours(times: SessionTimes, broker: Broker, clock: Clock) -> Check:
    """Whether the venue's calendar and clock know this session and the same hours: both must agree."""
    step = "look at the exchange's notices; nothing is sent while calendar and venue differ"
    try:
        theirs = broker.hours(times.session)
    except OutcomeUnknown as error:
        return Check("hours agree", False, error.message, error.next_step or step)
    now_ns = clock.now_ns()
    ours = SessionHours(times.open_ns, times.close_ns, is_open=times.open_ns <= now_ns < times.close_ns)
    border_ns = min(abs(now_ns - times.open_ns), abs(now_ns - times.close_ns))
    trouble = hours_trouble(ours, theirs, at_border=border_ns <= MAX_CLOCK_SKEW_NS)
    found = trouble or f"{times.session}, {'open' if theirs.is_open else 'closed'} now"
    return Check("hours agree", not trouble, found, step)
