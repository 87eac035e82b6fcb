"""The last steps before a request leaves: looks, SENT in the journal, another look, the request.

Orders of one batch share the commit of their SENT. It is durable before the first request of the batch
leaves, and before each request the permission, the lease and the controls are looked at once more. A
process that dies in between leaves orders as SENT; the next start asks the venue about every one of them.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence

from workbench.core.orders import MOST_AT_ONCE, UNRESOLVED, Order, OrderIntent, OrderState
from workbench.core.ports import Broker, Event, SubmitOutcome, SubmitResult
from workbench.errors import WorkbenchError
from workbench.services.listening import Listening
from workbench.services.records import order_change


def send_batch(
    orders: MutableMapping[str, Order],
    identities: Sequence[str],
    *,
    gate: Callable[[Order], tuple[str, ...]],
    commit: Callable[[Sequence[Event]], object],
    now_ns: Callable[[], int],
    request: Callable[[Order, bool], Order],
    missed: Callable[[], str],
) -> tuple[Order, ...]:
    """What the orders have become, in the order in which they were given.

    Parameters
    ----------
    orders : mutable mapping
        All orders of the account by id; changed here once the journal has the change.
    identities : sequence of str
        Those to send, each once.
    gate : callable (Order) -> tuple of str
        Denial codes, () = may leave; raises when nothing may. It sees the orders before it as SENT.
    commit : callable (events)
        Makes events durable under the lease.
    request : callable (Order, first_request) -> Order
        Sends the request, believes the venue and records the answer.
    missed : callable () -> str
        Why the account has to be reconciled before anything leaves, "" = it need not. That cannot be done
        while SENT is in the journal of what has not left, so the rest of the batch becomes NOT_ACCEPTED.

    Raises
    ------
    TradingHalted, LeaseLost, StorageFailed
        What was not requested yet has not left; where the journal still takes it, that is recorded as
        NOT_ACCEPTED, ready to be sent again.
    """
    for at in range(0, len(identities), MOST_AT_ONCE):
        part = identities[at : at + MOST_AT_ONCE]
        first = {identity: orders[identity].state not in UNRESOLVED for identity in part}
        leaving = _commit_sent(orders, part, gate, commit, now_ns)
        for n, identity in enumerate(leaving):
            codes: tuple[str, ...] = ()
            rest = [(orders[other], first[other]) for other in leaving[n:]]
            try:
                if len(part) > 1:  # alone, it leaves straight after its own look and commit
                    codes = gate(orders[identity])
            except Exception as error:  # whatever it was, no request left; it is recorded and raised
                # without the lease the journal refuses that record: they stay SENT and the next holder asks
                _take_back(orders, rest, (), f"never requested: {_in_short(error)}", commit, now_ns)
                raise
            if codes:
                _take_back(orders, rest[:1], codes, f"never requested: {','.join(codes)}", commit, now_ns)
                continue
            if trouble := missed():
                _take_back(orders, rest, (), f"never requested: {trouble}", commit, now_ns)
                return tuple(orders[identity] for identity in identities)
            request(orders[identity], first[identity])
    return tuple(orders[identity] for identity in identities)


def submit(broker: Broker, intent: OrderIntent, listening: Listening | None) -> SubmitResult:
    """The venue's answer to a request, or UNKNOWN with the reason; one request, never repeated here.

    The stream is told of the id first: it may mention the order before the answer has been read.
    """
    if listening is not None:
        listening.announce(intent.client_order_id)
    try:
        result = broker.submit(intent)
    except Exception as error:  # boundary: whatever the adapter raised proves nothing about the venue
        result = SubmitResult(SubmitOutcome.UNKNOWN, reason=f"{type(error).__name__} while sending")
    if listening is not None and result.outcome is not SubmitOutcome.ACCEPTED:
        listening.withdraw(intent.client_order_id)
    return result


def _commit_sent(
    orders: MutableMapping[str, Order],
    identities: Sequence[str],
    gate: Callable[[Order], tuple[str, ...]],
    commit: Callable[[Sequence[Event]], object],
    now_ns: Callable[[], int],
) -> list[str]:
    """Ids of those that may leave, SENT in one durable transaction together with the denials."""
    before = {identity: orders[identity] for identity in identities}
    leaving, events = [], []
    try:
        for identity, order in before.items():
            codes = gate(order)
            if codes and order.state in UNRESOLVED:
                continue  # it may be there already: only the venue can end it
            state = OrderState.DENIED if codes else OrderState.SENT
            orders[identity], event = order_change(order, state, at_ns=now_ns(), reason=",".join(codes))
            if orders[identity] != order:
                events.append(event)
            if not codes:
                leaving.append(identity)
        if events:
            commit(events)
    except BaseException:
        orders.update(before)
        raise
    return leaving


def _in_short(error: Exception) -> str:
    return error.message if isinstance(error, WorkbenchError) else type(error).__name__


def _take_back(
    orders: MutableMapping[str, Order],
    asked: Sequence[tuple[Order, bool]],
    codes: tuple[str, ...],
    reason: str,
    commit: Callable[[Sequence[Event]], object],
    now_ns: Callable[[], int],
) -> None:
    """Record that a request did not leave; of an earlier one under the same id this proves nothing."""
    events, changed = [], {}
    for order, first_request in asked:
        steps = [(OrderState.NOT_ACCEPTED if first_request else OrderState.UNKNOWN, reason)]
        if codes and first_request:
            steps.append((OrderState.DENIED, ",".join(codes)))
        for state, words in steps:
            order, event = order_change(order, state, at_ns=now_ns(), reason=words)
            events.append(event)
        changed[order.intent.client_order_id] = order
    commit(events)
    orders.update(changed)
