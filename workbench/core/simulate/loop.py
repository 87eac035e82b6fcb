"""The loop over history: value, decide, judge, send, fill, book, by the kernels of a session's cycle."""

from __future__ import annotations

from workbench.core.kernel import inlined_kernel, kernel
from workbench.core.policy.kernels import forecast_micro
from workbench.core.simulate.arrays import Book, History, Rules
from workbench.core.simulate.deciding import (
    CHOICE,
    POSITION,
    decide_candidates,
    decide_whole_row,
    find_candidates,
)
from workbench.core.simulate.sending import CASH, ORDERS, QUEUED, judge_and_send, write_intents
from workbench.core.simulate.trading import FILLS, forget_splits, pass_bar, take_events
from workbench.core.types import Floats


@kernel
def advance(history: History, forecast: Floats, rules: Rules, book: Book, first: int, stop: int) -> int:
    """Work through rows from `first` up to `stop`; returns the row where the records had no more room.

    After row t every order is decided that bar t + 1 may fill, so the last row decides nothing.
    """
    symbols = book.account.shape[1]
    money = book.money
    rows = history.ts_ns.shape[0]
    for t in range(first, stop):
        if money[ORDERS] + 2 * symbols >= book.orders.shape[0]:
            return t
        if money[FILLS] + 4 * symbols >= book.fills.shape[0]:
            return t
        equity = money[CASH]
        for i in range(symbols):
            equity += book.account[POSITION, i] * history.price_micro[t, i]
        book.series[0, t] = equity
        book.series[1, t] = money[CASH]
        if t + 1 == rows:
            continue
        taken = take_events(t + 1, history, book)
        if taken > 0:  # the decision is made in the terms of the session that it trades in
            equity = money[CASH]
            for i in range(symbols):
                equity += book.account[POSITION, i] * history.decision_micro[t, i]
        keep = book.decisions.shape[0] > 0
        count, wanted = -1, 0
        if not keep:
            count, wanted = find_candidates(t, equity, history, forecast, rules, book)
        if count != 0:
            act(t, count, wanted, equity, history, forecast, rules, book)
        if money[QUEUED] > 0:
            pass_bar(t + 1, history, rules, book)
        if taken > 0:
            forget_splits(taken, history, book)
    return stop


@inlined_kernel
def act(
    t: int, count: int, wanted_micro: int, equity_micro: int, history: History, forecast: Floats,
    rules: Rules, book: Book,
) -> None:  # fmt: skip
    """Decide after row t and send what follows; a count of -1 decides the row as a whole."""
    symbols = book.account.shape[1]
    whole = count < 0
    if not whole:
        whole = not decide_candidates(t, count, wanted_micro, equity_micro, history, forecast, rules, book)
    if whole:
        decide_whole_row(t, equity_micro, history, forecast, rules, book)
        count = symbols
    if book.decisions.shape[0] > 0:
        for i in range(symbols):
            for field in range(8):
                book.decisions[t, field, i] = book.account[CHOICE + field, i]
            book.decisions[t, 8, i] = forecast_micro(forecast[t, i])
    first = write_intents(t, count, history, rules, book)
    if book.money[ORDERS] > first:
        judge_and_send(t, first, equity_micro, history, rules, book)
