"""One pass over fills and quotes in time order: what each fill cost against the mids that stood.

Rows come in batches and are forgotten; what stays is one row a parent order, one a symbol and the fills
whose markouts are not due yet. Money is summed in integers, so the size of the batches changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.core.kernel import kernel
from workbench.core.tca.queries import FAR_NS, WIDTH, admit_quotes, answer_mids, answer_quotes
from workbench.core.types import DAY_NS, Booleans, Floats, Integers, Numbers

#: Columns of a parent order's own sums.
OWN = ("filled", "paid", "fees", "first_ns", "last_ns", "fills", "wrong")
#: Columns of a parent's spread money, in half micros, before one for each horizon.
MONEY = ("effective", "effective_matched", "realized", "price_improvement")
#: Columns of a parent's weights, micros of value, before one for each horizon.
WEIGHTS = ("effective", "matched")
QUOTE_COUNTERS = ("quote_missing", "quote_crossed", "quote_of_another_symbol")
FILL_COUNTERS = (
    "fill_without_order", "fill_not_positive", "fill_absurd", "fill_duplicate", "fill_before_arrival",
    "no_quote_yet", "quote_stale", "no_mid_after", "fill_without_fee",
    "fill_without_time",
)  # fmt: skip
_ABSURD = float(1 << 44)  #: micros: the value, or the cost, of one fill above 17 million is not believed


@kernel
def book_fills(
    timed: Booleans, order_of: Numbers, quantity: Floats, price: Floats, price_scale: float, fee: Floats,
    again: Booleans, fill_ns: Integers, symbol_of: Integers, own: Integers, counters: Integers,
    symbol: Numbers, value: Integers,
) -> None:  # fmt: skip
    """Check each fill, add it to its parent and write its symbol, shares and micros; 0 shares = refused."""
    for j in range(fill_ns.shape[0]):
        order = order_of[j]
        symbol[j] = symbol_of[order] if order >= 0 else 0
        value[j, 0] = 0
        value[j, 1] = 0
        if order < 0:
            counters[0] += 1
            continue
        micro = np.rint(price[j] * price_scale)
        if not timed[j]:
            counters[9] += 1
            own[order, 6] += 1
        elif again[j]:
            counters[3] += 1
        elif not (1.0 <= quantity[j] < 1e12 and np.rint(quantity[j]) == quantity[j] and 1.0 <= micro < 1e15):
            counters[1] += 1
            own[order, 6] += 1
        elif np.isnan(fee[j]):
            counters[8] += 1
            own[order, 6] += 1
        elif not (quantity[j] * micro <= _ABSURD and np.abs(fee[j]) <= _ABSURD):
            counters[2] += 1
            own[order, 6] += 1
        else:
            value[j, 0], value[j, 1] = int(quantity[j]), int(micro)
            if own[order, 5] == 0:
                own[order, 3] = fill_ns[j]
            own[order, 0] += value[j, 0]
            own[order, 1] += value[j, 0] * value[j, 1]
            own[order, 2] += int(np.rint(fee[j]))
            own[order, 4] = fill_ns[j]
            own[order, 5] += 1


@kernel
def measure(
    fill_ns: Integers, order_of: Numbers, value: Integers, mids: Integers, before: Integers,
    arrival_ns: Integers, arrival_row: Integers, arrival_out: Integers, side_of: Integers,
    max_age_ns: int, money: Integers, weight: Floats, counters: Integers,
) -> None:  # fmt: skip
    """Add what each fill cost to its parent; all of its queries have been answered."""
    last = mids.shape[0] - 1
    midnight = end = 0
    for j in range(fill_ns.shape[0]):
        quantity, twice = value[j, 0], 2 * value[j, 1]
        if quantity == 0:
            continue
        order, when = np.uint64(order_of[j]), fill_ns[j]  # an unsigned place is never counted from the end
        side, row, asked = side_of[order], arrival_row[order], when
        if row >= 0:
            asked = arrival_ns[order]
            bid, ask, stamp = arrival_out[row, 0], arrival_out[row, 1], arrival_out[row, 2]
        else:
            bid, ask, stamp = before[j, 0], before[j, 1], before[j, 2]
        if asked >= end or asked < midnight:
            midnight = asked - asked % DAY_NS
            end = midnight + DAY_NS
        signed, mid, effective, known = side * quantity, bid + ask, 0, False
        if asked > when:
            counters[4] += 1
        elif stamp < 0:
            counters[5] += 1
        elif asked - stamp > max_age_ns or stamp < midnight:
            counters[6] += 1
        elif np.abs(float(twice - mid)) * quantity > _ABSURD:
            counters[2] += 1
        else:
            known, effective = True, 2 * signed * (twice - mid)
            money[order, 0] += effective
            money[order, 3] += signed * (mid + side * (ask - bid) - twice)  # twice the far touch
            weight[order, 0] += 0.5 * quantity * mid
        paid = float(quantity) * float(value[j, 1])
        for k in range(last + 1):
            mid_after = mids[k, j]
            if mid_after < 0 or np.abs(float(mid_after - twice)) * quantity > _ABSURD:
                counters[7] += 1
                continue
            moved = signed * (mid_after - twice)
            money[order, 4 + k] += moved
            weight[order, 2 + k] += paid
            if k == last and known:
                money[order, 1] += effective
                money[order, 2] -= 2 * moved
                weight[order, 1] += 0.5 * quantity * mid


@dataclass(frozen=True, eq=False)
class Parents:
    """Parent orders as arrays, one element an order.

    Attributes
    ----------
    symbol, side : int64
        Number of the symbol; 1 or -1.
    arrival_ns : int64
        When the venue received it; -1 = not told, then each fill stands for itself.
    """

    symbol: Integers
    side: Integers
    arrival_ns: Integers

    def __post_init__(self) -> None:
        for name in ("symbol", "side", "arrival_ns"):
            object.__setattr__(self, name, frozen(getattr(self, name)))


@dataclass(frozen=True, eq=False)
class Batch:
    """Fills in time order; `order` is the number of the parent, -1 = none, `timed` whether it has a time."""

    ts_ns: Integers
    timed: Booleans
    order: Numbers
    quantity: Floats
    price: Floats
    price_scale: float
    fee_micro: Floats
    again: Booleans

    def __post_init__(self) -> None:
        for name in ("ts_ns", "timed", "order", "quantity", "price", "fee_micro", "again"):
            object.__setattr__(self, name, frozen(getattr(self, name)))


@dataclass(frozen=True, eq=False)
class QuoteBatch:
    """Quotes in time order; `symbol` is a number, -1 = of no order."""

    ts_ns: Integers
    symbol: Numbers
    bid: Floats
    ask: Floats
    scale: float

    def __post_init__(self) -> None:
        for name in ("ts_ns", "symbol", "bid", "ask"):
            object.__setattr__(self, name, frozen(getattr(self, name)))


def frozen(values: Any) -> Any:
    """A contiguous array that cannot be written: one kind of array, so a kernel is compiled once."""
    held = np.ascontiguousarray(values)[:]
    held.flags.writeable = False
    return held


class OutOfOrder(ValueError):
    """Rows of "fills" or "quotes" are not in time order; `table` says which."""

    def __init__(self, table: str) -> None:
        super().__init__(f"{table} are not in time order")
        self.table = table


class Tape:
    """The admitted quotes of the present batch, and the one of each symbol that stands for each who asks.

    Parameters
    ----------
    symbols : int
    mids, quotes : int
        How many ask for mids, and for bid and ask; each in the order of time.
    """

    def __init__(self, symbols: int, *, mids: int, quotes: int) -> None:
        self.mid_standing = np.full((mids, 1 + symbols, 2), -1, dtype=np.int64)
        self.quote_standing = np.full((quotes, 1 + symbols, 3), -1, dtype=np.int64)
        self.quote_standing[:, :, 1] = -2  # bid + ask of none: each is -1
        self.passed = np.zeros((mids + quotes, 1), dtype=np.int64)
        self.counters = np.zeros(len(QUOTE_COUNTERS), dtype=np.int64)
        self.last_ns = -FAR_NS
        self._make_room(0)

    def _make_room(self, rows: int) -> None:
        self.when, self.best, self.middle = (np.full(rows + WIDTH, FAR_NS, dtype=np.int64) for _ in range(3))
        self.row = np.zeros(rows + WIDTH, dtype=np.int32)

    def put(self, batch: QuoteBatch) -> None:
        """Make a batch of quotes the present one; the one before has passed by all who still ask."""
        rows = len(batch.ts_ns)
        if rows + WIDTH > len(self.row):
            self._make_room(rows)
        admitted = admit_quotes(
            batch.ts_ns, batch.symbol, batch.bid, batch.ask, batch.scale, self.last_ns, self.when,
            self.row, self.best, self.middle, self.counters,
        )  # fmt: skip
        if admitted < 0:
            raise OutOfOrder("quotes")
        self.when[admitted : admitted + WIDTH] = FAR_NS
        self.last_ns = int(batch.ts_ns[-1]) if rows else self.last_ns
        self.passed[:] = 0


class Pending:
    """Fills that are booked and not measured yet, in arrays that are used again and again.

    Parameters
    ----------
    horizons : int
        How many markouts each waits for.
    """

    def __init__(self, horizons: int) -> None:
        self.count, self.last_ns = 0, -FAR_NS
        self.ts_ns = np.zeros(0, dtype=np.int64)
        self.order, self.symbol = np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32)
        self.value, self.before = np.zeros((0, 2), dtype=np.int64), np.zeros((0, 3), dtype=np.int64)
        self.mids = np.zeros((horizons, 0), dtype=np.int64)

    def extend(self, ts_ns: Integers, order: Numbers) -> slice:
        """Make room behind the others for fills of these times and orders; where they are."""
        new = slice(self.count, self.count + len(ts_ns))
        if new.stop > len(self.ts_ns):
            room = 2 * new.stop
            for name in ("ts_ns", "order", "symbol", "value", "before"):
                setattr(self, name, _longer(getattr(self, name), room))
            self.mids = np.ascontiguousarray(_longer(self.mids.T, room).T)
        self.ts_ns[new], self.order[new] = ts_ns, order
        self.count, self.last_ns = new.stop, int(ts_ns[-1])
        return new

    def forget(self, done: int) -> None:
        """Drop the first fills."""
        left = self.count - done
        for values in (self.ts_ns, self.order, self.symbol, self.value, self.before, *self.mids):
            values[:left] = values[done : self.count]
        self.count = left


def _longer(values: Any, rows: int) -> Any:
    made = np.empty((rows, *values.shape[1:]), dtype=values.dtype)
    made[: len(values)] = values
    return made


class Stream:
    """The sums of one pass over fills and quotes, one row a parent: `own`, `money` and `weight`.

    Parameters
    ----------
    parents : Parents
    symbols : int
        How many there are.
    horizons_ns : int64 (horizons,)
        Of the markouts, at least one; the last is that of realized spread and impact.
    max_age_ns : int
        An older quote does not stand.
    """

    def __init__(self, parents: Parents, *, symbols: int, horizons_ns: Integers, max_age_ns: int) -> None:
        told = np.flatnonzero(parents.arrival_ns >= 0)
        told = told[np.argsort(parents.arrival_ns[told], kind="stable")]
        self._parents, self._horizons, self._max_age_ns = parents, frozen(horizons_ns), max_age_ns
        self._arrival_row = np.full(len(parents.symbol), -1, dtype=np.int64)
        self._arrival_row[told] = np.arange(len(told))
        self._arrival_key = np.array(parents.arrival_ns[told])
        self._arrival_symbol = parents.symbol[told].astype(np.int32)
        self._arrival_out = np.full((len(told), 3), -1, dtype=np.int64)
        width = len(horizons_ns)
        # one stream of queries a horizon, and one for fills whose order tells no arrival
        self._alone = len(told) < len(parents.symbol)
        self._next = np.zeros(width + int(self._alone), dtype=np.int64)
        self._next_arrival = 0
        self._tape = Tape(max(symbols, 1), mids=width, quotes=2)
        self.own = np.zeros((len(parents.symbol), len(OWN)), dtype=np.int64)
        self.weight = np.zeros((len(parents.symbol), len(WEIGHTS) + width))
        self.money = np.zeros((len(parents.symbol), len(MONEY) + width), dtype=np.int64)
        self._fill_counters = np.zeros(len(FILL_COUNTERS), dtype=np.int64)
        self._pending = Pending(width)

    @property
    def counts(self) -> dict[str, int]:
        """Rows that could not be used, by reason."""
        names = (*FILL_COUNTERS, *QUOTE_COUNTERS)
        values = [*self._fill_counters.tolist(), *self._tape.counters.tolist()]
        return {name: value for name, value in zip(names, values, strict=True) if value}

    @property
    def arrivals(self) -> Integers:
        """Bid, ask and time of the quote that stood when each parent arrived, (parents, 3); -1 = none."""
        found = np.full((len(self._arrival_row), 3), -1, dtype=np.int64)
        told = self._arrival_row >= 0
        found[told] = self._arrival_out[self._arrival_row[told]]
        return found

    def run(self, fills: Iterator[Batch], quotes: Iterator[QuoteBatch]) -> None:
        """Merge all batches.

        Raises
        ------
        OutOfOrder
            A table is not in time order; the sums are worthless then.
        """
        quotes_end = fills_end = False
        while not (quotes_end and fills_end):
            self._answer(FAR_NS if quotes_end else self._tape.last_ns)
            if not fills_end and bool(np.any(self._next >= self._pending.count)):
                batch = next(fills, None)
                fills_end = batch is None
                if batch is not None and len(batch.ts_ns):
                    self._settle()
                    self._append(batch)
            else:
                found = next(quotes, None)
                quotes_end = found is None
                if found is not None:
                    self._tape.put(found)
        self._answer(FAR_NS)
        self._settle()

    def _answer(self, known_ns: int) -> None:
        """Let each stream of queries go as far as the present quotes and fills take it."""
        held, tape, width = self._pending, self._tape, len(self._horizons)
        ts, symbol = held.ts_ns[: held.count], held.symbol[: held.count]
        for k in range(width):
            self._next[k] = answer_mids(
                ts, symbol, int(self._next[k]), int(self._horizons[k]), self._max_age_ns, known_ns,
                tape.when, tape.row, tape.middle, tape.passed[k], tape.mid_standing[k], held.mids[k],
            )  # fmt: skip
        self._next_arrival = int(answer_quotes(
            self._arrival_key, self._arrival_symbol, self._next_arrival, known_ns,
            tape.when, tape.row, tape.best, tape.middle, tape.passed[width], tape.quote_standing[0],
            self._arrival_out,
        ))  # fmt: skip
        if self._alone:
            self._next[width] = answer_quotes(
                ts, symbol, int(self._next[width]), known_ns,
                tape.when, tape.row, tape.best, tape.middle, tape.passed[width + 1],
                tape.quote_standing[1], held.before,
            )  # fmt: skip

    def _append(self, batch: Batch) -> None:
        ts, held = batch.ts_ns, self._pending
        if ts[0] < held.last_ns or bool(np.any(ts[1:] < ts[:-1])):
            raise OutOfOrder("fills")
        new = held.extend(ts, batch.order)
        book_fills(
            batch.timed, batch.order, batch.quantity, batch.price, batch.price_scale, batch.fee_micro,
            batch.again, ts, self._parents.symbol, self.own, self._fill_counters, held.symbol[new],
            held.value[new],
        )  # fmt: skip

    def _settle(self) -> None:
        """Measure the fills whose queries are all answered, and forget them."""
        done, held, parents = int(self._next.min()), self._pending, self._parents
        measure(
            held.ts_ns[:done], held.order[:done], held.value, held.mids, held.before,
            parents.arrival_ns, self._arrival_row, self._arrival_out, parents.side, self._max_age_ns,
            self.money, self.weight, self._fill_counters,
        )  # fmt: skip
        held.forget(done)
        self._next -= done
