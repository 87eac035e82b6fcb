"""Open the books of an account on a person's word: its cash, and whatever else it holds already."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from workbench.bootstrap.desk import Desk
from workbench.bootstrap.holding import recovering
from workbench.bootstrap.signing import Credentials, people_of
from workbench.bootstrap.venue_kind import uses_alpaca
from workbench.config import Settings
from workbench.core.types import NANO, to_micro
from workbench.errors import ApprovalRequired, DataError, Refused
from workbench.services.adoption import Holding, adoption_events, opening_entry, survey


@dataclass(frozen=True)
class Adopted:
    """What the books opened with.

    Attributes
    ----------
    positions : dict of str to float
        Shares by symbol.
    orders : tuple of str
        Ids of open orders of somebody else that now count as exposure.
    mark : str
        What the person approved.
    """

    cash_micro: int
    positions: dict[str, float]
    orders: tuple[str, ...]
    mark: str


def adopt(
    settings: Settings, *, as_of_session: str, person: str, reason: str, accept: str = "",
    credentials: Credentials | None = None,
) -> Adopted:  # fmt: skip
    """Open the ledger with what the venue's account holds, on a person's word.

    Cash alone needs no more than the person and a reason. Positions and open orders of somebody else are
    shown first; the person accepts exactly what was shown by its mark.

    Parameters
    ----------
    as_of_session : str
        The embedded venue's account is opened at the close of this session.
    accept : str
        The mark that a refusal has named; "" = nothing but cash is accepted.

    Raises
    ------
    ApprovalRequired
        The account holds more than cash, or something else than what was accepted; it is listed.
    Refused
        The ledger is open already, a price is missing, or an order cannot be taken over.
    """
    desk = Desk(settings)
    desk.calendar.require_session(as_of_session, argument="--as-of")
    with recovering(settings, start_ns=desk.calendar.session_close_ns(as_of_session)) as (account, oms, _):
        people = people_of(settings, account.journal, credentials)
        people.check(person, reason, act="adopt")
        if oms.ledger.cash_micro or oms.ledger.positions_nano:
            raise Refused("the ledger is open already", next_step="workbench reconcile shows any difference")
        found = survey(account.broker)
        more_than_cash = bool(found.positions_nano or found.orders)
        if (more_than_cash and accept != found.mark) or accept not in ("", found.mark):
            raise ApprovalRequired(
                f"the account holds {found.words}",
                next_step=f"if that is right: workbench adopt --accept {found.mark}, with the same person",
                mark=found.mark,
                positions=dict(found.positions_nano),
                orders=[order.client_order_id for order in found.orders],
            )
        symbols = {*found.positions_nano, *(order.symbol for order in found.orders)}
        prices = _last_prices(desk, symbols, found.at_ns)
        events = adoption_events(
            found,
            account=settings.account,
            venue_account=account.link.venue_account,
            prices_micro=prices,
            person=person,
            reason=reason,
        )
        if not uses_alpaca(settings):  # the venue in this process has no life before this desk
            events = []
        subject = {"account": settings.account, "cash_micro": found.cash_micro, "mark": found.mark}
        acts = people.require(person, reason, act="adopt", subject=subject)
        memo = f"adopted by {person}: {reason}"
        oms.record_opening("opening", "", opening_entry(found, prices), memo, [*acts, *events])
        return _told(found)


def _told(found: Holding) -> Adopted:
    shares = {symbol: quantity / NANO for symbol, quantity in sorted(found.positions_nano.items())}
    return Adopted(found.cash_micro, shares, tuple(o.client_order_id for o in found.orders), found.mark)


def _last_prices(desk: Desk, symbols: Iterable[str], as_of_ns: int) -> dict[str, int]:
    """Last known close of each symbol in micros; 0 where there is none."""
    prices = dict.fromkeys(symbols, 0)
    for symbol in prices:
        try:
            panel = desk.bars.read((symbol,), as_of_ns=as_of_ns, rows=1)
        except DataError:
            continue  # the caller names it
        if len(panel.ts_ns) and panel.tradable[-1, 0]:
            prices[symbol] = to_micro(float(panel.close[-1, 0]))
    return prices
