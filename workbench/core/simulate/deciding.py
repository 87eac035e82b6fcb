"""Kernels from a row of the history to decisions: who may trade, what the policy says of them."""

from __future__ import annotations

import math

import numpy as np

from workbench.core.costs import round_trip_floor_bps
from workbench.core.fills import bar_half_spread_bps
from workbench.core.kernel import kernel
from workbench.core.policy.kernels import (
    Choice,
    Standing,
    decide_row,
    decide_symbol,
    forecast_micro,
    held_weight_micro,
    surely_idle,
    target_weight_micro,
)
from workbench.core.policy.params import PolicyValues
from workbench.core.policy.reason import Reason
from workbench.core.simulate.arrays import Book, History, Plan, Rules
from workbench.core.types import MISSING, Floats, Integers
from workbench.core.venue.kernels import quote_micro

_COST_MISSING = int(Reason.COST_MISSING)


@kernel
def plan_weights(
    forecast: Floats,
    price_micro: Integers,
    volatility_bps: Floats,
    half_spread_bps: Floats,
    policy: PolicyValues,
    weight_micro: Integers,
    wanted_micro: Integers,
) -> None:
    """Write the target weight of every symbol at every row, and each row's sum of absolute weights."""
    for t in range(forecast.shape[0]):
        wanted = 0
        for i in range(forecast.shape[1]):
            weight = MISSING
            if 0 < price_micro[t, i] <= 1_000_000_000_000 and 0.0 <= half_spread_bps[t, i] < 1e5:
                weight = target_weight_micro(forecast_micro(forecast[t, i]), volatility_bps[t, i], policy)
            weight_micro[t, i] = weight
            wanted += abs(weight) if weight != MISSING else 0
        wanted_micro[t] = wanted


@kernel
def find_candidates(
    t: int, equity_micro: int, history: History, plan: Plan, rules: Rules, book: Book
) -> int:
    """Write who may trade after row t; returns how many, -1 = the row has to be decided as a whole.

    Symbols that surely do nothing are passed over, which is only right while nobody's weight is scaled:
    a row that wants more than the gross weight, with what cannot be judged, is decided as a whole.
    """
    if not 0 < equity_micro <= 1_000_000_000_000_000_000:
        return 0
    held = 0
    count = 0
    for i in range(book.position.shape[0]):
        weight, position = plan.weight_micro[t, i], book.position[i]
        price = history.price_micro[t, i]
        if weight == MISSING:
            if position != 0:
                held += min(held_weight_micro(position, price, equity_micro), 1_000_000_000)
            continue
        forecast = plan.forecast[t, i]
        turned = (forecast > 0.0 and position < 0) or (forecast < 0.0 and position > 0)
        if turned or not surely_idle(weight, price, position, equity_micro, rules.known_micro, rules.policy):
            book.candidate[count] = i
            count += 1
    return -1 if plan.wanted_micro[t] + held > rules.policy.max_gross_micro else count


@kernel
def decide_candidates(
    t: int, count: int, equity_micro: int, history: History, plan: Plan, rules: Rules, book: Book
) -> bool:
    """Decide each candidate by itself; False when one's unknown cost changes the scale of the row."""
    missing = 0
    for k in range(count):
        i = book.candidate[k]
        choice = decide_one(t, i, equity_micro, history, plan, rules, book)
        if choice.reason == _COST_MISSING:
            held = held_weight_micro(book.position[i], history.price_micro[t, i], equity_micro)
            missing += min(held, 1_000_000_000)
        write_choice(book.choice, i, choice)
        book.choice[7, i] = plan.weight_micro[t, i]
    if missing == 0:
        return True
    held = missing
    for i in range(book.position.shape[0]):
        if plan.weight_micro[t, i] == MISSING and book.position[i] != 0:
            weight = held_weight_micro(book.position[i], history.price_micro[t, i], equity_micro)
            held += min(weight, 1_000_000_000)
    return bool(plan.wanted_micro[t] + held <= rules.policy.max_gross_micro)


@kernel
def decide_one(
    t: int, i: int, equity_micro: int, history: History, plan: Plan, rules: Rules, book: Book
) -> Choice:
    """The policy's choice for one symbol at its unscaled weight, at the cost floor of the intended size."""
    weight, price, position = plan.weight_micro[t, i], history.price_micro[t, i], book.position[i]
    forecast, volatility = forecast_micro(plan.forecast[t, i]), history.volatility_bps[t, i]
    free = decide_symbol(
        weight, Standing(forecast, price, volatility, 0.0, position, 0, 1, 0), equity_micro, rules.policy
    )
    half_spread = known_half_spread_bps(t, i, history, rules)
    book.spread_bps[i] = half_spread
    book.row[0, 0] = max(abs(free.target_shares - position), rules.policy.lot_shares)
    book.row[1, 0] = price
    book.floats[0, 0] = history.adv_shares[t, i]
    book.floats[1, 0] = volatility
    book.floats[2, 0] = half_spread
    round_trip_floor_bps(
        book.row[0, :1], book.row[1, :1], book.floats[0, :1], book.floats[1, :1], book.floats[2, :1],
        rules.prior, rules.rates, book.floats[3, :1],
    )  # fmt: skip
    standing = Standing(forecast, price, volatility, book.floats[3, 0], position, 0, 1, 0)
    return decide_symbol(weight, standing, equity_micro, rules.policy)


@kernel
def decide_whole_row(
    t: int, equity_micro: int, history: History, plan: Plan, rules: Rules, book: Book
) -> None:
    """Decide all symbols after row t together, exactly as one cycle of a session does."""
    symbols = book.position.shape[0]
    volatility, half_spread, floor = book.floats[0], book.floats[1], book.floats[3]
    forecast, price, tradable, zeros, intended = (
        book.row[0], book.row[1], book.row[2], book.row[3], book.row[4],
    )  # fmt: skip
    adv = book.floats[2]
    for i in range(symbols):
        forecast[i] = forecast_micro(plan.forecast[t, i])
        price[i] = history.price_micro[t, i]
        tradable[i] = 0 if math.isnan(history.close[t, i]) else 1
        zeros[i] = 0
        volatility[i] = history.volatility_bps[t, i]
        adv[i] = history.adv_shares[t, i]
        half_spread[i] = known_half_spread_bps(t, i, history, rules)
        book.spread_bps[i] = half_spread[i]
        floor[i] = 0.0
    decide_row(
        forecast, price, volatility, floor, book.position, zeros, tradable, zeros, equity_micro,
        rules.policy, book.choice,
    )  # fmt: skip
    for i in range(symbols):
        intended[i] = max(abs(book.choice[0, i] - book.position[i]), rules.policy.lot_shares)
    round_trip_floor_bps(
        intended, price, adv, volatility, half_spread, rules.prior, rules.rates, floor
    )
    decide_row(
        forecast, price, volatility, floor, book.position, zeros, tradable, zeros, equity_micro,
        rules.policy, book.choice,
    )  # fmt: skip
    for i in range(symbols):
        book.candidate[i] = i


@kernel
def known_half_spread_bps(t: int, i: int, history: History, rules: Rules) -> float:
    """The larger of estimated and quoted half spread after row t; NaN without a bar."""
    estimated = history.half_spread_bps[t, i]
    bid, ask = quoted(t, i, history, rules)
    if bid <= 0:
        return estimated
    spread = (ask - bid) / 2.0 / ((bid + ask) / 2.0)
    half_spread = float(np.rint(spread * 1e6)) / 100.0
    return half_spread if not estimated >= half_spread else estimated


@kernel
def quoted(t: int, i: int, history: History, rules: Rules) -> tuple[int, int]:
    """The venue's bid and ask after row t; (0, 0) without a bar."""
    if math.isnan(history.close[t, i]):
        return (0, 0)
    half = bar_half_spread_bps(history.high[t, i], history.low[t, i], rules.fills)
    return quote_micro(history.price_micro[t, i], half)


@kernel
def write_choice(out: Integers, i: int, choice: Choice) -> None:
    """Put a choice where a row of decisions has it."""
    out[0, i] = choice.target_shares
    out[1, i] = choice.delta_shares
    out[2, i] = choice.order_type
    out[3, i] = choice.limit_micro
    out[4, i] = choice.reason
    out[5, i] = choice.edge_micro
    out[6, i] = choice.cost_floor_micro
