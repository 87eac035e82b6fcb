"""Random programs over every order type and time in force: limits, cash, shares, and symmetry of symbols."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.core.corporate import postings_of_activity
from workbench.core.costs import FeeSchedule
from workbench.core.fills import FillParams, fill_bar
from workbench.core.ledger import Ledger, postings_of_fill
from workbench.core.orders import TERMINAL, TIMES_IN_FORCE, WITH_LIMIT, WITH_STOP, OrderState
from workbench.core.types import DAY_NS, NANO, OrderType, TimeInForce
from workbench.core.venue import Venue

HOUR, CENT = 3_600 * NANO, 10_000
CASH = 50_000_000_000
DAYS = tuple(f"2013-01-{day:02d}" for day in range(1, 7))
KINDS = [(kind.word, tif.word) for kind in OrderType for tif in sorted(TIMES_IN_FORCE[kind])]
COUNTS: Counter[str] = Counter()

bars = st.tuples(*(st.integers(700, 1400) for _ in range(4)), st.integers(0, 40_000)).map(
    lambda b: (b[0], max(b[:4]), min(b[:4]), b[3], b[4])
)
orders = st.fixed_dictionaries(
    {
        "key": st.integers(0, 30), "symbol": st.integers(0, 1), "side": st.sampled_from([1, -1]),
        "shares": st.integers(1, 3000), "kind": st.sampled_from(KINDS), "limit": st.integers(700, 1400),
        "stop": st.integers(700, 1400),
    }
)  # fmt: skip
actions = st.lists(
    st.one_of(
        orders,
        orders,
        st.fixed_dictionaries({"cancel": st.integers(0, 30)}),
        st.fixed_dictionaries({"halt": st.integers(0, 1), "on": st.booleans()}),
    ),
    max_size=6,
)
ratios = st.one_of(st.none(), st.none(), st.tuples(st.integers(1, 7), st.integers(1, 7)))
days = st.tuples(actions, ratios, st.integers(0, 500_000), actions, bars, bars, st.booleans())
programs = st.lists(days, min_size=1, max_size=4)


def at(day: int, hour: float) -> int:
    return day * DAY_NS + int(hour * HOUR)


def commands_of(program: list[Any], names: tuple[str, str]) -> list[dict[str, Any]]:
    """The program's commands with its two symbols called by these names."""
    found: list[dict[str, Any]] = [
        {
            "kind": "open_account", "at_ns": at(0, 21), "account": "demo", "cash_micro": CASH,
            "symbols": list(names), "fills": asdict(FillParams()), "fees": asdict(FeeSchedule()),
        },
        _close(0, {names[0]: (1000, 1010, 990, 1000, 20_000), names[1]: (900, 910, 890, 900, 5_000)}),
    ]  # fmt: skip
    for day, (before, ratio, paid, during, bar_0, bar_1, both) in enumerate(program, start=1):
        found += [_action(a, day, at(day, 12) + n, names) for n, a in enumerate(before)]
        ex = {"at_ns": at(day, 14), "session": DAYS[day], "symbol": names[0]}
        if paid:
            found.append({"kind": "dividend", **ex, "amount_micro": paid})
        if ratio and ratio[0] != ratio[1]:
            found.append({"kind": "split", **ex, "new_shares": ratio[0], "old_shares": ratio[1]})
        traded = {names[0]: bar_0} | ({names[1]: bar_1} if both else {})
        opening = {symbol: bar[0] * CENT for symbol, bar in traded.items()}
        found.append({"kind": "open", "at_ns": at(day, 14), "session": DAYS[day], "prices": opening})
        found += [_action(a, day, at(day, 15) + n, names) for n, a in enumerate(during)]
        found.append(_close(day, traded))
    return found


def _close(day: int, traded: dict[str, Any]) -> dict[str, Any]:
    found = {symbol: [*(p * CENT for p in bar[:4]), bar[4]] for symbol, bar in traded.items()}
    return {"kind": "close", "at_ns": at(day, 21), "session": DAYS[day], "bars": found}


def _action(action: dict[str, Any], day: int, at_ns: int, names: tuple[str, str]) -> dict[str, Any]:
    if "cancel" in action:
        return {"kind": "cancel", "at_ns": at_ns, "client_order_id": f"k{action['cancel']}"}
    if "halt" in action:
        return {"kind": "halt", "at_ns": at_ns, "symbol": names[action["halt"]], "halted": action["on"]}
    kind, tif = action["kind"]
    order_type = OrderType.parse(kind)
    return {
        "kind": "submit", "at_ns": at_ns, "account": "demo", "client_order_id": f"k{action['key']}",
        "symbol": names[action["symbol"]], "side": action["side"], "quantity_nano": action["shares"] * NANO,
        "order_type": kind, "time_in_force": tif,
        "limit_micro": action["limit"] * CENT if order_type in WITH_LIMIT else 0,
        "stop_micro": action["stop"] * CENT if order_type in WITH_STOP else 0,
        "session": DAYS[day], "open_ns": at(day, 14), "close_ns": at(day, 21),
        "previous_open_ns": at(day - 1, 14),
    }  # fmt: skip


def check_program(program: list[Any]) -> None:
    venue, sent, halted, ledger = Venue(), {}, set(), Ledger.opening(CASH)
    seen = told = 0
    for command in commands_of(program, ("AAA", "BBB")):
        terms = {o.client_order_id: (o.limit_micro, o.stop_micro, o.shares) for o in venue.open_orders()}
        reply = venue.apply(json.loads(json.dumps(command)))
        if command["kind"] == "submit" and reply["ok"]:
            sent[command["client_order_id"]] = command
            COUNTS["orders"] += 1
        if command["kind"] == "halt":
            (halted.add if command["halted"] else halted.discard)(command["symbol"])
        for activity in venue.activities(since_ns=0)[told:]:
            ledger = ledger.apply(postings_of_activity(ledger, activity))
        fills = venue.fills(since_ns=0)[seen:]
        seen, told = seen + len(fills), len(venue.activities(since_ns=0))
        per_order = Counter(fill.client_order_id for fill in fills)
        assert all(n == 1 for n in per_order.values()), "one order, one fill a market event"
        for fill in fills:
            check_fill(fill, sent[fill.client_order_id], terms[fill.client_order_id], command, halted)
            ledger = ledger.apply(postings_of_fill(ledger, fill))
            COUNTS["fills"] += 1
        view = venue.account_view()
        assert (ledger.cash_micro, ledger.positions_nano) == (view.cash_micro, view.positions_nano)
        assert sum(amount for amount, _ in ledger.balances.values()) == 0
        assert 0 <= view.buying_power_micro <= view.cash_micro
        if command["kind"] == "close":
            for order in venue.open_orders():
                assert order.time_in_force == TimeInForce.GTC
    for order in venue.orders(since_ns=0):
        tif = sent[order.client_order_id]["time_in_force"]
        assert order.state in TERMINAL or tif == "gtc"
        assert order.state is not OrderState.EXPIRED or tif == "day"  # GTC expires never by itself
        if tif == "fok":
            assert order.filled_nano in (0, order.quantity_nano)
    COUNTS["programs"] += 1


def check_fill(
    fill: Any, order: dict[str, Any], terms: Any, command: dict[str, Any], halted: set[str]
) -> None:
    limit, stop, _ = terms
    side, kind = order["side"], order["order_type"]
    assert order["at_ns"] < fill.filled_at_ns == command["at_ns"]  # F36
    assert fill.symbol not in halted
    assert not limit or side * (fill.price_micro - limit) <= 0  # F34: never beyond the limit
    if command["kind"] == "open":
        first = best = worst = command["prices"][fill.symbol]
    else:
        first, high, low = command["bars"][fill.symbol][:3]
        best, worst = (low, high) if side == 1 else (high, low)
    if kind == "stop" and fill.filled_at_ns == order.get("first_fill", fill.filled_at_ns):
        order["first_fill"] = fill.filled_at_ns
        assert side * (worst - stop) >= 0, "the bar never reached the stop"
    if not limit:
        assert side * (fill.price_micro - best) >= 0
    if kind == "market_on_open":
        assert command["kind"] == "open"
        assert side * (fill.price_micro - first) >= 0
    if kind == "market_on_close":
        assert command["kind"] == "close"
    if order["time_in_force"] in ("ioc", "fok"):
        begins = [at(day, hour) for day in range(6) for hour in (14, 21)]
        assert command["at_ns"] == min(ns for ns in begins if ns > order["at_ns"])


def check_permutation(program: list[Any]) -> None:
    """The same history under other names, which sort the other way round, gives the same fills."""
    outcomes = []
    for names in (("AAA", "BBB"), ("ZZZ", "BBB")):
        venue = Venue()
        replies = [venue.apply(command) for command in commands_of(program, names)]
        back = {names[0]: 0, names[1]: 1}
        fills = [
            (f.execution_id, f.client_order_id, back[f.symbol], f.quantity_nano, f.price_micro, f.fee_micro)
            for f in venue.fills(since_ns=0)
        ]
        held = {back[symbol]: n for symbol, n in venue.account_view().positions_nano.items()}
        money = [(r["ok"], r["execution_ids"], r["cash_micro"], r["buying_power_micro"]) for r in replies]
        outcomes.append((fills, held, money))
    assert outcomes[0] == outcomes[1]
    COUNTS["permutations"] += 1


@settings(max_examples=150, deadline=None, derandomize=True)
@given(programs)
def test_no_program_breaks_a_limit_a_time_in_force_or_the_conservation_of_cash_and_shares(
    program: list[Any],
) -> None:
    check_program(program)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(programs)
def test_a_program_under_permuted_symbols_gives_the_same_replies(program: list[Any]) -> None:
    check_permutation(program)


@pytest.mark.prove
def test_many_programs_break_nothing() -> None:
    COUNTS.clear()
    many = settings(
        max_examples=20_000, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    many(given(programs)(check_program))()
    settings(many, max_examples=5_000)(given(programs)(check_permutation))()
    print(json.dumps(dict(sorted(COUNTS.items()))))


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("kind", "tif"), KINDS)
def test_a_directed_program_fills_each_type_with_each_time_in_force(kind: str, tif: str, side: int) -> None:
    """The random programs need not fill anything; this one must, on both sides, by the same checks."""
    bar, wide = (1000, 1010, 990, 1000, 40_000), (1000, 1400, 700, 1000, 40_000)
    base = {"symbol": 0, "kind": ("market", "day"), "limit": 0, "stop": 0}
    buy = {"key": 1, "side": 1, "shares": 100, **base}
    limit, stop = (1100, 1000) if side == 1 else (900, 1000)
    tried = {**base, "key": 2, "side": side, "shares": 100, "kind": (kind, tif), "limit": limit, "stop": stop}
    program = [([buy], None, 0, [], bar, bar, True), ([tried], None, 250_000, [], wide, bar, True)]
    before = COUNTS["fills"]
    check_program(program)
    check_permutation(program)
    assert COUNTS["fills"] - before == 2


FILL = FillParams().values()


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(list(OrderType)), tif=st.integers(0, 3), side=st.sampled_from([1, -1]),
    shares=st.integers(1, 3_000), limit=st.integers(700, 1400), stop=st.integers(700, 1400), bar=bars,
)  # fmt: skip
def test_a_bar_fills_no_order_beyond_its_limit_its_stop_or_the_participation_cap(
    kind: OrderType, tif: int, side: int, shares: int, limit: int, stop: int, bar: Any
) -> None:
    opened, high, low, close, volume = bar
    limit_micro = limit * CENT if kind in WITH_LIMIT else 0
    stop_micro = stop * CENT if kind in WITH_STOP else 0
    arguments = (
        int(kind), side, shares, limit_micro, opened / 100, high / 100, low / 100, close / 100, float(volume),
        1.0, 100.0, FILL, stop_micro, tif,
    )  # fmt: skip
    filled, price = fill_bar(*arguments)
    assert (filled, price) == fill_bar.py_func(*arguments)  # type: ignore[attr-defined]
    assert 0 <= filled <= min(shares, int(volume * FILL[0]))
    if not filled:
        return
    assert not limit_micro or side * (price - limit_micro) <= 0
    if kind in WITH_STOP:
        reached = high if side == 1 else low
        assert side * (reached - stop) >= 0
        assert kind is OrderType.STOP_LIMIT or side * (price - stop_micro) > 0
    if tif in (TimeInForce.IOC, TimeInForce.FOK):
        assert kind in (OrderType.MARKET, OrderType.LIMIT)
        assert side * (price - opened * CENT) >= 0
        assert tif == TimeInForce.IOC or filled == shares
