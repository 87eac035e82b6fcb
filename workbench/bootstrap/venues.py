"""Which venue a desk trades at: the one in this process, or Alpaca (or what speaks its protocol)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from workbench.adapters.armed_file import ArmedFileOnDisk
from workbench.adapters.clock import SimulatedClock, SystemClock
from workbench.adapters.loopback_clock import LoopbackClock
from workbench.adapters.simulated_broker import SimulatedBroker, SimulatedOpenOrders
from workbench.bootstrap.desk import Desk
from workbench.bootstrap.venue_kind import uses_alpaca as uses_alpaca
from workbench.config import Settings
from workbench.core.cancelling import OpenOrders
from workbench.core.ports import Broker, Clock, Journal
from workbench.core.types import Mode
from workbench.errors import ConfigError, OutcomeUnknown
from workbench.services.adoption import since_adoption
from workbench.services.reading import PersistentReads, read_again

# the broker's library takes half a second to load, which a desk at the embedded venue need not wait for
if TYPE_CHECKING:
    from workbench.adapters.alpaca_broker import AlpacaBroker, AlpacaTransport
    from workbench.adapters.alpaca_stream import AlpacaStream

DATA_URL = "https://data.alpaca.markets"
#: A venue on this machine sets no limit of its own; a replay asks it thousands of times a session.
LOOPBACK_PER_MINUTE = 60_000


@dataclass(frozen=True)
class VenueLink:
    """A broker with the clock that belongs to it.

    Attributes
    ----------
    last_ns : int
        The venue's latest time when it was opened, UTC nanoseconds; 0 = nothing ever happened there.
    hang_up : callable () -> None
        Closes the broker.
    stream : AlpacaStream or None
        Trade updates, not yet listening; None where polls are all there is.
    venue_account : str
        The venue's own id of the account; "" for the venue in this process.
    """

    broker: Broker
    clock: Clock
    last_ns: int
    hang_up: Callable[[], None]
    stream: AlpacaStream | None = None
    venue_account: str = ""

    def close(self) -> None:
        """Close connections and files."""
        if self.stream is not None:
            self.stream.close()
        self.hang_up()


def open_venue(settings: Settings, desk: Desk, *, start_ns: int) -> VenueLink:
    """The desk's venue, seen to be the right one; nothing is sent.

    Parameters
    ----------
    start_ns : int
        Where the trading time of the embedded venue starts, UTC nanoseconds.

    Raises
    ------
    ConfigError
        Mode, address, keys and account do not belong together.
    OutcomeUnknown
        The venue does not answer.
    """
    if not uses_alpaca(settings):
        return embedded_venue(settings, desk, desk.paths.venue, start_ns=start_ns)
    from workbench.adapters.alpaca_broker import connect_alpaca

    broker = read_again(lambda: connect_alpaca(**_terms(settings), barred=_barred(desk)), wait=time.sleep)
    try:
        patient = PersistentReads(broker, wait=time.sleep)
        now_ns = patient.now_ns()
        if settings.mode is not Mode.REPLAY:
            return VenueLink(
                patient, SystemClock(), now_ns, broker.close, _stream(settings, desk), broker.account_id
            )
        venue = settings.venue
        clock = LoopbackClock(venue.admin_url, start_ns=now_ns, timeout_s=venue.answer_timeout_s)
        return VenueLink(patient, clock, now_ns, broker.close, venue_account=broker.account_id)
    except BaseException:
        broker.close()
        raise


def seen_from_adoption(settings: Settings, journal: Journal, link: VenueLink) -> VenueLink:
    """The link with a broker that begins where this desk adopted the account; as it is where it did not.

    Raises
    ------
    Refused
        The account behind the keys is another one now.
    """
    broker = since_adoption(link.broker, journal, account=settings.account, venue_account=link.venue_account)
    return replace(link, broker=broker)


def data_url(settings: Settings) -> str:
    """Address of the market data: a venue on this machine serves its own, any other leaves it to Alpaca."""
    venue = settings.venue
    return venue.data_url or (venue.url if _is_near(venue.url) else DATA_URL)


def _is_near(url: str) -> bool:
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")


def data_transport(settings: Settings) -> AlpacaTransport:
    """A connection to the venue's market data, with the keys of the settings."""
    from workbench.adapters.alpaca_broker import AlpacaTransport

    key, secret = _keys(settings)
    venue = settings.venue
    return AlpacaTransport(
        key=key, secret=secret, url=data_url(settings), connect_s=venue.connect_timeout_s,
        read_s=venue.answer_timeout_s, data=True,
    )  # fmt: skip


def embedded_venue(settings: Settings, desk: Desk, path: Path, *, start_ns: int) -> VenueLink:
    """The venue in this process, with its record at `path` and the market of the desk's bars.

    Raises
    ------
    ConfigError
        The settings allow what a cash account cannot do.
    """
    if settings.limits.allow_short:
        raise ConfigError(
            "limits.allow_short is on, and the embedded venue keeps a cash account: it takes no short sale",
            next_step="set limits.allow_short = false and policy.allow_short = false",
        )
    clock = SimulatedClock(start_ns)
    broker = SimulatedBroker(
        path,
        account=settings.account,
        cash_micro=settings.venue.starting_cash_usd * 1_000_000,
        clock=clock,
        calendar=desk.calendar,
        market=desk.bars.raw_session,
        symbols=settings.universe,
        fills=settings.fills,
        fees=settings.fees,
        splits=desk.bars.splits_of,
        dividends=desk.bars.dividends_of,
    )
    clock.sleep_until(broker.last_ns)
    return VenueLink(broker, clock, broker.last_ns, broker.close)


@dataclass(frozen=True)
class CancelLink:
    """What is open at the desk's venue, for a halt: no lease, no order, no journal.

    Attributes
    ----------
    verified : bool
        Whether the venue has said that the keys open the account of the settings.
    """

    orders: OpenOrders
    verified: bool
    broker: SimulatedBroker | AlpacaBroker

    def close(self) -> None:
        """Close connections and files."""
        self.broker.close()


def open_for_cancels(settings: Settings, desk: Desk) -> CancelLink:
    """A way to the desk's open orders that needs nothing but the venue.

    Raises
    ------
    ConfigError
        Mode, address, keys and account do not belong together.
    Refused
        A running loop of this desk holds the embedded venue.
    """
    if not uses_alpaca(settings):
        link = embedded_venue(settings, desk, desk.paths.venue, start_ns=0)
        return CancelLink(SimulatedOpenOrders(link.broker), True, link.broker)  # type: ignore[arg-type]
    from workbench.adapters.alpaca_broker import AlpacaOpenOrders, alpaca_broker

    broker = alpaca_broker(**_terms(settings), barred=lambda: "this connection only cancels")
    try:
        theirs = broker.account().account
    except OutcomeUnknown:  # a halt does not wait for an account's answer, but ends by id only
        return CancelLink(AlpacaOpenOrders(broker), False, broker)
    if theirs != settings.account:
        broker.close()
        raise ConfigError(
            f"the keys open account {theirs} at the venue, not {settings.venue.account_id}",
            next_step="cancel by hand at the venue, then set venue.account_id and the keys of one account",
        )
    return CancelLink(AlpacaOpenOrders(broker), True, broker)


def _barred(desk: Desk) -> Callable[[], str]:
    """What the connection asks just before a POST: whether the ARMED file is still there."""
    armed = ArmedFileOnDisk(desk.paths.armed)
    return lambda: "" if armed.read() is not None else "the ARMED file is gone"


def _terms(settings: Settings) -> dict[str, Any]:
    venue, (key, secret) = settings.venue, _keys(settings)
    near = _is_near(venue.url)
    return {
        "mode": settings.mode, "url": venue.url, "data_url": data_url(settings), "key": key,
        "secret": secret, "account": settings.account, "account_id": venue.account_id,
        "connect_s": venue.connect_timeout_s, "read_s": venue.answer_timeout_s,
        "reserve": venue.reserved_requests, "feed": venue.feed,
        "per_minute": max(LOOPBACK_PER_MINUTE, venue.requests_per_minute) if near
        else venue.requests_per_minute,
    }  # fmt: skip


def _stream(settings: Settings, desk: Desk) -> AlpacaStream:
    from workbench.adapters.alpaca_stream import AlpacaStream, FrameInbox

    venue, (key, secret) = settings.venue, _keys(settings)
    parts = urlsplit(venue.url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    url = venue.stream_url or urlunsplit((scheme, parts.netloc, "/stream", "", ""))
    inbox = FrameInbox(desk.paths.root / "trade-updates.jsonl")
    return AlpacaStream(url=url, key=key, secret=secret, inbox=inbox, answer_s=venue.answer_timeout_s)


def _keys(settings: Settings) -> tuple[str, str]:
    key, secret = settings.secrets.venue_key, settings.secrets.venue_secret
    if key is None or secret is None:
        raise ConfigError(
            "the venue's keys are not set",
            next_step="set WORKBENCH_SECRETS__VENUE_KEY and WORKBENCH_SECRETS__VENUE_SECRET in this process",
        )
    return key.reveal(), secret.reveal()
