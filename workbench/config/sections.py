"""The sections of ``workbench.toml`` that do not belong to a kernel, and the grammar of session times."""

from __future__ import annotations

import re
from dataclasses import dataclass

from workbench.config.secret import Secret
from workbench.core.features import DEFAULT_FEATURES
from workbench.core.types import NANO

_SESSION_TIME = re.compile(r"(open|close)(?:([+-])(\d{1,3})m)?")


@dataclass(frozen=True, order=True)
class SessionTime:
    """A moment of an exchange session, relative to its open or close.

    Attributes
    ----------
    from_close : bool
        Whether the anchor is the close; otherwise it is the open.
    offset_minutes : int
        Minutes after the anchor; negative before it.
    """

    from_close: bool
    offset_minutes: int

    @classmethod
    def parse(cls, text: str) -> SessionTime:
        """The moment that "open", "open-15m" or "close+5m" names; ValueError for anything else."""
        match = _SESSION_TIME.fullmatch(text)
        if match is None:
            raise ValueError(f'{text!r} is no session time; write it like "open", "open-15m", "close+5m"')
        anchor, sign, minutes = match.groups()
        offset = int(minutes or 0) * (-1 if sign == "-" else 1)
        return cls(anchor == "close", offset)

    def __str__(self) -> str:
        anchor = "close" if self.from_close else "open"
        return f"{anchor}{self.offset_minutes:+d}m" if self.offset_minutes else anchor

    def at_ns(self, open_ns: int, close_ns: int) -> int:
        """The moment in UTC nanoseconds for a session with that open and close."""
        return (close_ns if self.from_close else open_ns) + self.offset_minutes * 60 * NANO


@dataclass(frozen=True)
class DeskSettings:
    """Where the desk keeps its journal, bars, runs and the ARMED file.

    Attributes
    ----------
    path : str
        Folder of the desk, relative to the folder of this file. Not part of the config hash.
    """

    path: str = "data/desk"


@dataclass(frozen=True)
class JournalSettings:
    """Where the journal is kept.

    Attributes
    ----------
    url : str
        "" = a SQLite file in the desk's folder; else postgresql+psycopg://USER@HOST:PORT/DATABASE, never
        with a password. Not part of the config hash.
    """

    url: str = ""


@dataclass(frozen=True)
class SessionSettings:
    """When the desk decides and how long it may take.

    Attributes
    ----------
    decision_times : tuple of str
        Scheduled decisions of each session: "open" or "close", plus or minus minutes.
    reconcile_until : str
        The session ends with reconciliation until this moment.
    stage_budget_ms : int
        Time budget of each stage of a session, milliseconds; a breach is an alert, never a shortcut.
    """

    decision_times: tuple[str, ...] = ("open-15m",)
    reconcile_until: str = "close+5m"
    stage_budget_ms: int = 5_000


@dataclass(frozen=True)
class BudgetSettings:
    """How long each stage of a decision cycle may take, milliseconds; not part of the config hash.

    Attributes
    ----------
    reconcile_ms : int
        Asking the venue for what happened since the last cycle.
    data_ms : int
        Reading bars and quotes as known at the decision.
    features_ms : int
        Computing the features.
    forecast_ms : int
        Asking the model.
    decide_ms : int
        Cost floors, policy and order legs.
    controls_ms : int
        Judging the orders.
    record_ms : int
        Journalling decision, intents and verdicts.
    submit_ms : int
        Sending what may be sent, with its records.
    """

    reconcile_ms: int = 2_000
    data_ms: int = 1_000
    features_ms: int = 500
    forecast_ms: int = 500
    decide_ms: int = 500
    controls_ms: int = 500
    record_ms: int = 500
    submit_ms: int = 2_000

    def by_stage(self) -> dict[str, int]:
        """Stage of a cycle to its budget, milliseconds."""
        return {name.removesuffix("_ms"): value for name, value in vars(self).items()}


@dataclass(frozen=True)
class VenueSettings:
    """The account at the venue.

    Attributes
    ----------
    broker : str
        "embedded": the venue in this process (replay only); "alpaca": Alpaca, or a venue on the loopback
        address that speaks its protocol; "" = embedded for replay, alpaca for every other mode.
    starting_cash_usd : int
        Cash of a new account of the embedded venue, USD.
    url : str
        Address of the venue's trading interface, without a version; "" with the embedded venue.
    data_url : str
        Address of its market data; "" = Alpaca's own, or the trading address of a venue on the loopback
        address. Not part of the config hash.
    stream_url : str
        Address of its trade updates, wss:// (ws:// on the loopback address); "" = the trading address with
        /stream. Not part of the config hash.
    admin_url : str
        Admin port of a loopback venue, whose clock a replay drives; "" with any other. Not part of the config
        hash.
    account_id : str
        The venue's own id of the account; live refuses to run without it.
    feed : str
        Source of quotes: "iex" or "sip".
    connect_timeout_s : float
        Limit for making a connection, seconds.
    answer_timeout_s : float
        Limit for each part of an answer, seconds; what has not answered by then is UNKNOWN.
    requests_per_minute : int
        Requests that leave at most, below the venue's own limit (Alpaca: 200).
    reserved_requests : int
        Part of them that only cancels and look-ups may use.
    stream_silence_s : float
        Nothing new is sent when the stream of trade updates has been down for longer, seconds.
    """

    broker: str = ""
    starting_cash_usd: int = 1_000_000
    url: str = ""
    data_url: str = ""
    stream_url: str = ""
    admin_url: str = ""
    account_id: str = ""
    feed: str = "iex"
    connect_timeout_s: float = 3.0
    answer_timeout_s: float = 10.0
    requests_per_minute: int = 150
    reserved_requests: int = 30
    stream_silence_s: float = 30.0


@dataclass(frozen=True)
class PeopleSettings:
    """How people give their word.

    Attributes
    ----------
    signatures_required : bool
        Every act is signed with a registered key; in mode live it always is.
    promotion_second_person : str
        First stage of a model that takes a second person's word: "shadow", "paper" or "live", which always
        takes it. Alone on a desk the same person confirms after fifteen minutes, recorded as weaker.
    """

    signatures_required: bool = False
    promotion_second_person: str = "shadow"


@dataclass(frozen=True)
class ModelSettings:
    """How the forecast model is trained.

    Attributes
    ----------
    horizon_sessions : int
        Sessions over which the forecast return is earned; equal to policy.horizon_sessions.
    ridge_alpha : float
        Strength of the ridge penalty on standardised features.
    train_first_session : str
        First exchange session of the training window, ISO date.
    features : tuple of str
        Names of the model's columns, in order; `workbench features` lists all there are.
    holdout_sessions : int
        Last sessions before `--until` that no training sees, to be looked at once per candidate; with 0
        nothing is held out, and no candidate goes beyond replay.
    extensions : tuple of str
        Installed packages whose own features and strategies this desk loads; no other package is loaded.
    """

    horizon_sessions: int = 5
    ridge_alpha: float = 100.0
    train_first_session: str = "2005-01-03"
    features: tuple[str, ...] = DEFAULT_FEATURES
    holdout_sessions: int = 0
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeaseSettings:
    """The right to send orders for the account.

    Attributes
    ----------
    ttl_s : float
        Seconds until an unrenewed lease expires.
    """

    ttl_s: float = 30.0


@dataclass(frozen=True)
class Secrets:
    """Secrets, from the environment or the secrets folder only.

    Attributes
    ----------
    venue_key : Secret
        Key id of the venue's account.
    venue_secret : Secret
        Secret that belongs to the key id.
    anchor_key : Secret
        Key of the journal's anchor; when absent the desk keeps its own in a file of mode 0600.
    journal_password : Secret
        Password of the user that journal.url names.
    alert_urls : Secret
        Addresses that alerts go to, as apprise knows them, separated by white space.
    alert_urls_second : Secret
        Addresses that are told when nobody acknowledges a critical alert.
    person_passphrase : Secret
        Passphrase of the person who acts, where no prompt can ask for it.
    storage_key : Secret
        Key id for the object storage that scale.storage names.
    storage_secret : Secret
        Secret that belongs to storage_key.
    """

    venue_key: Secret | None = None
    venue_secret: Secret | None = None
    anchor_key: Secret | None = None
    journal_password: Secret | None = None
    alert_urls: Secret | None = None
    alert_urls_second: Secret | None = None
    person_passphrase: Secret | None = None
    storage_key: Secret | None = None
    storage_secret: Secret | None = None
