"""What one value, and several values together, must satisfy beyond their types."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from workbench.config.addresses import (
    LOOPBACK,
    admin_url,
    cluster_address,
    journal_url,
    storage_place,
    stream_url,
    venue_url,
)
from workbench.config.extensions import load_extensions
from workbench.config.secret import shown
from workbench.config.sections import SessionTime
from workbench.config.settings import leaves, sections
from workbench.config.sources import Problem
from workbench.core.features import select_features
from workbench.core.timings import CYCLE_STAGES
from workbench.core.types import Mode
from workbench.errors import ConfigError

LIVE_HOST = "api.alpaca.markets"

Values = Mapping[str, Any]
#: For each key the source of its value, as messages name it.
Sources = Mapping[str, str]


# --- one value -------------------------------------------------------------------------------------


def _positive(value: float) -> str:
    return "" if math.isfinite(value) and value > 0 else "must be greater than 0; no value means off"


def _day_at_most(value: float) -> str:
    return "" if 0 < value <= 24 else "must be above 0 and at most 24 hours"


def _not_negative(value: float) -> str:
    return "" if value >= 0 else "must not be below 0; 0 holds nothing out"


def _seed(value: int) -> str:
    return "" if 0 <= value < 2**63 else "must be from 0 to 2**63 - 1"


def _name(value: str) -> str:
    plain = value.isprintable() and value == value.strip() and value and "/" not in value
    return "" if plain else "must be a name: printable, not empty, without a slash or outer spaces"


def _path(value: str) -> str:
    return "" if value.strip() and "\x00" not in value else "must name a folder"


def _symbols(value: tuple[str, ...]) -> str:
    odd = [symbol for symbol in value if not symbol or not symbol.isprintable() or " " in symbol]
    if odd:
        return f"{odd[0]!r} is not a symbol"
    twice = sorted({symbol for symbol in value if value.count(symbol) > 1})
    return f"names {', '.join(twice)} more than once" if twice else ""


def _universe(value: tuple[str, ...]) -> str:
    return _symbols(value) if value else "is empty: a desk needs at least one symbol to trade"


def _extensions(value: tuple[str, ...]) -> str:
    """Loaded here, so that the features of the packages are known to the rules that follow."""
    if len(set(value)) < len(value):
        return "names a package more than once"
    try:
        load_extensions(value)
    except ConfigError as error:
        return f"{error.message}; {error.next_step}"
    return ""


def _features(value: tuple[str, ...]) -> str:
    try:
        select_features(value)
    except ValueError as error:
        return str(error)
    return ""


def _times(value: tuple[str, ...]) -> str:
    if not value:
        return "is empty: a session needs at least one decision time"
    try:
        parsed = [SessionTime.parse(text) for text in value]
    except ValueError as error:
        return str(error)
    return "names a decision time more than once" if len(set(parsed)) < len(parsed) else ""


def _reconcile_until(value: str) -> str:
    try:
        until = SessionTime.parse(value)
    except ValueError as error:
        return str(error)
    return (
        ""
        if until.from_close and until.offset_minutes >= 0
        else 'must be "close" or later, such as "close+5m"'
    )


def _iso_date(value: str) -> str:
    try:
        same = date.fromisoformat(value).isoformat() == value
    except ValueError:
        same = False
    return "" if same else "is not a date; write it as 2005-01-03"


def _within(least: float, most: float) -> Callable[[float], str]:
    return lambda value: "" if least <= value <= most else f"must be from {least:g} to {most:g}"


def _channels(value: tuple[str, ...]) -> str:
    """At least one that needs nobody else: an alert must always have somewhere to go."""
    known = set(value) <= {"console", "file"} and len(set(value)) == len(value)
    return "" if value and known else 'must be one or both of "console" and "file"'


def _one_of(*words: str) -> Callable[[str], str]:
    return lambda value: "" if value in words else f"must be one of {', '.join(filter(None, words))}"


_SINGLE: Mapping[str, Callable[[Any], str]] = {
    "account": _name,
    "strategy": _name,
    "universe": _universe,
    "seed": _seed,
    "desk.path": _path,
    "journal.url": journal_url,
    "session.decision_times": _times,
    "session.reconcile_until": _reconcile_until,
    "session.stage_budget_ms": _positive,
    "venue.starting_cash_usd": _positive,
    "venue.broker": _one_of("", "embedded", "alpaca"),
    "venue.url": venue_url,
    "venue.data_url": venue_url,
    "venue.stream_url": stream_url,
    "venue.admin_url": admin_url,
    "venue.feed": _one_of("iex", "sip"),
    "venue.connect_timeout_s": _positive,
    "venue.answer_timeout_s": _positive,
    "venue.requests_per_minute": _positive,
    "venue.reserved_requests": _positive,
    "venue.stream_silence_s": _positive,
    "model.horizon_sessions": _positive,
    "model.ridge_alpha": _positive,
    "model.train_first_session": _iso_date,
    "model.extensions": _extensions,
    "model.features": _features,
    "model.holdout_sessions": _not_negative,
    "lease.ttl_s": _positive,
    "supervision.runner_heartbeat_s": _positive,
    "limits.restricted": _symbols,
    "dashboards.session_hours": _day_at_most,
    "alerts.channels": _channels,
    "people.promotion_second_person": _one_of("shadow", "paper", "live"),
    "alerts.external_from": _one_of("info", "warning", "critical"),
    "alerts.poll_s": _within(0.1, 2),
    "alerts.max_attempts": _within(1, 20),
    "alerts.retry_first_s": _within(1, 60),
    "monitoring.alpha": _within(0.001, 0.2),
    "monitoring.max_input_shift_sd": _within(0.1, 3),
    "monitoring.max_input_spread": _within(0.1, 3),
    "monitoring.max_input_missing": _within(0.01, 1),
    "monitoring.health_port": _within(0, 65_535),
    "watchdog.look_every_s": _within(0.1, 5),
    "watchdog.silent_after_s": _within(1, 60),
    "watchdog.stuck_after_s": _within(1, 300),
    "watchdog.no_progress_s": _within(10, 900),
    "watchdog.max_clock_skew_s": _within(0.1, 10),
    "watchdog.venue_silent_s": _within(1, 300),
    "watchdog.journal_silent_s": _within(1, 300),
    "watchdog.max_growth_mb_per_hour": _within(1, 100_000),
    "watchdog.min_free_disk_mb": _within(10, 1_000_000),
    "scale.cluster": cluster_address,
    "scale.storage": storage_place,
    "scale.storage_endpoint": venue_url,
    "scale.warm_kernels": _within(0, 8),
    **{f"budgets.{stage}_ms": _positive for stage in CYCLE_STAGES},
}


def check_values(
    values: Values, sources: Sources, set_keys: frozenset[str]
) -> tuple[dict[str, Any], list[Problem]]:
    """Values in canonical order, without those that break a rule of their own, and the problems.

    `set_keys` are the keys that a source sets: only these are blamed for a section that refuses its values.
    """
    good = dict(values)
    problems: list[Problem] = []
    for key, rule in _SINGLE.items():
        if key in good and (reason := rule(good[key])):
            problems.append(_problem(key, good.pop(key), sources, reason))
    for key, reason in _refused_by_section(good, set_keys):
        problems.append(_problem(key, good.pop(key), sources, reason))
    for key in ("universe", "limits.restricted"):
        if key in good:
            good[key] = tuple(sorted(good[key]))
    if "session.decision_times" in good:
        good["session.decision_times"] = tuple(
            str(moment)
            for moment in sorted(SessionTime.parse(text) for text in good["session.decision_times"])
        )
    if "session.reconcile_until" in good:
        good["session.reconcile_until"] = str(SessionTime.parse(good["session.reconcile_until"]))
    return good, problems


def _refused_by_section(values: Values, set_keys: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Keys that a kernel's own dataclass refuses, with its reason; each key is tried by itself."""
    for name, kind in sections().items():
        keys = [
            key for key in leaves() if key.rpartition(".")[0] == name and key in set_keys and key in values
        ]
        together = _refusal(kind, {key: values[key] for key in keys})
        if not together:
            continue
        alone = [(key, reason) for key in keys if (reason := _refusal(kind, {key: values[key]}))]
        yield from alone or [(keys[0], together)]


def _refusal(kind: Any, values: Values) -> str:
    try:
        kind(**{key.rpartition(".")[2]: value for key, value in values.items()})
    except ValueError as error:
        named = "|".join(re.escape(key) for key in values) or "$"
        return re.sub(
            rf"^(?:{named})(?: = \S+)?:? ", "", str(error)
        )  # the problem names key and value itself
    return ""


# --- several values --------------------------------------------------------------------------------

#: Pairs of keys and the relation that must hold from the first to the second.
_RELATIONS: tuple[tuple[str, str, str], ...] = (
    ("limits.max_order_shares", "<=", "limits.max_position_shares"),
    ("limits.max_order_notional_usd", "<=", "limits.max_position_notional_usd"),
    ("limits.max_position_notional_usd", "<=", "limits.max_gross_notional_usd"),
    ("policy.max_weight", "<=", "policy.max_gross_weight"),
    ("policy.limit_offset_bps", "<=", "limits.price_collar_bps"),
    ("policy.allow_short", "<=", "limits.allow_short"),
    ("model.horizon_sessions", "==", "policy.horizon_sessions"),
    ("supervision.runner_heartbeat_s", "<", "lease.ttl_s"),
    ("lease.ttl_s", "<", "watchdog.no_progress_s"),
    ("watchdog.look_every_s", "<", "watchdog.silent_after_s"),
    ("venue.reserved_requests", "<", "venue.requests_per_minute"),
)
_HOLDS: Mapping[str, Callable[[Any, Any], bool]] = {"<=": operator.le, "<": operator.lt, "==": operator.eq}
_WORDS = {"<=": "must not be above", "<": "must be below", "==": "must equal"}


def check_together(values: Values, sources: Sources, secrets: frozenset[str]) -> list[Problem]:
    """Problems of values that contradict each other; a rule whose keys were refused already is skipped."""
    problems: list[Problem] = []
    for first, relation, second in _RELATIONS:
        if first in values and second in values and not _HOLDS[relation](values[first], values[second]):
            other = f"{second} = {shown(values[second])} (from {sources.get(second, 'default')})"
            reason = f"{_WORDS[relation]} {other}"
            problems.append(_problem(first, values[first], sources, reason, f"change {first} or {second}"))
    problems += _times_together(values, sources)
    problems += _tls_together(values, sources)
    if isinstance(mode := values.get("mode"), Mode):
        problems += _mode_together(mode, values, sources, secrets)
    return problems


def _times_together(values: Values, sources: Sources) -> Iterator[Problem]:
    keys = ("session.decision_times", "session.reconcile_until")
    if all(key in values for key in keys):
        times, until = (values[key] for key in keys)
        if max(SessionTime.parse(text) for text in times) >= SessionTime.parse(until):
            reason = f"a decision must come before session.reconcile_until = {until!r}"
            yield _problem(keys[0], times, sources, reason, "decide earlier or reconcile longer")


def _tls_together(values: Values, sources: Sources) -> Iterator[Problem]:
    keys = ("dashboards.tls_certificate", "dashboards.tls_key")
    if all(key in values for key in keys) and bool(values[keys[0]]) != bool(values[keys[1]]):
        advice = "set both dashboards.tls_certificate and dashboards.tls_key, or neither"
        yield _problem(keys[0], values[keys[0]], sources, "a certificate needs its key", advice)


def _mode_together(
    mode: Mode, values: Values, sources: Sources, secrets: frozenset[str]
) -> Iterator[Problem]:
    """What a mode that talks to a venue needs. Replay with the embedded venue needs nothing."""
    broker, url = values.get("venue.broker"), values.get("venue.url")
    if mode is Mode.REPLAY and broker != "alpaca":
        return
    if broker == "embedded":
        advice = 'set venue.broker = "alpaca", or the mode to replay'
        yield _problem("venue.broker", broker, sources, f"mode {mode} needs a venue outside", advice)
    yield from _keys(mode, secrets)
    if mode is Mode.REPLAY:
        yield from _replay_at_a_venue(values, sources)
        return
    if url is not None:
        live_url = urlsplit(url).hostname == LIVE_HOST
        if not url:
            yield _problem("venue.url", url, sources, f"mode {mode} needs a venue", "set venue.url")
        elif mode is Mode.LIVE and not live_url:
            advice = f"set it to https://{LIVE_HOST}, or the mode to paper"
            yield _problem("venue.url", url, sources, "mode live needs the live address", advice)
        elif mode is not Mode.LIVE and live_url:
            reason = f"mode {mode} must not use the live address"
            yield _problem("venue.url", url, sources, reason, "set the paper address, or the mode to live")
    if mode is Mode.LIVE:
        if values.get("venue.account_id") == "":
            advice = "set venue.account_id to the venue's id of the account"
            yield _problem("venue.account_id", "", sources, "mode live needs the account's id", advice)
        if values.get("approvals.required") is False:
            advice = "set approvals.required to true"
            yield _problem("approvals.required", False, sources, "mode live needs approvals on", advice)


def _keys(mode: Mode, secrets: frozenset[str]) -> Iterator[Problem]:
    for name in ("venue_key", "venue_secret"):
        if name not in secrets:
            advice = f"set WORKBENCH_SECRETS__{name.upper()}, or a file {name} in WORKBENCH_SECRETS_DIR"
            yield Problem(f"secrets.{name}", "nowhere", "", f"mode {mode} needs it", advice)


def _replay_at_a_venue(values: Values, sources: Sources) -> Iterator[Problem]:
    """A replay moves the venue's time, which only a venue on this machine allows."""
    for key in ("venue.url", "venue.admin_url"):
        value = values.get(key)
        if value is not None and urlsplit(value).hostname not in LOOPBACK:
            advice = "set it to an address that `workbench venue serve` prints, or broker to embedded"
            yield _problem(key, value, sources, "mode replay needs a venue on the loopback address", advice)


def _problem(key: str, value: Any, sources: Sources, reason: str, next_step: str = "") -> Problem:
    return Problem(
        key, sources.get(key, "default"), shown(value, key=key), reason, next_step or f"correct {key}"
    )
