"""What the compiled loop works on: named tuples of arrays, and the columns of its records."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from workbench.core.costs import CostValues
from workbench.core.fees import FeeRates
from workbench.core.fills import FillValues
from workbench.core.policy import PolicyValues
from workbench.core.pretrade import LimitValues
from workbench.core.types import Floats, Integers


class OrderColumn(IntEnum):
    """Columns of the order record; all int64, money in micros, times UTC nanoseconds."""

    ROW = 0  #: row of the bars after which the order was decided
    SYMBOL = 1
    SIDE = 2
    SHARES = 3
    TYPE = 4
    LIMIT = 5
    REFERENCE = 6  #: last close at the decision
    EXPECTED_COST = 7  #: fraction of the value x 1e6; MISSING = not known
    TARGET = 8  #: position that the decision wanted
    START = 9  #: position that it began with
    REASON = 10
    LEG = 11  #: 1 = the first order of a change, 2 = the slice after it
    PARENT = 12  #: row of the order that this leg follows, -1 = none
    DECIDED_NS = 13
    BITS = 14  #: denial codes; 0 = allowed
    STATE = 15  #: `SimulatedState`
    FILLED = 16
    SENT_NS = 17  #: 0 = never sent
    BEFORE_OPEN = 18  #: 1 = the venue had it before the open
    HOLD_PRICE = 19
    HELD = 20
    TODAY = 21  #: shares of the present bar's volume that it got


class FillColumn(IntEnum):
    """Columns of the fill record."""

    ORDER = 0  #: row of the order record
    ROW = 1  #: row of the bar that filled it
    AT_CLOSE = 2  #: 0 = in the opening auction, 1 = in the range or at the close
    SHARES = 3
    PRICE = 4
    FEE = 5


class EventColumn(IntEnum):
    """Columns of corporate events, sorted by row, dividends before splits."""

    ROW = 0  #: the event takes effect before the decision for this bar
    IS_SPLIT = 1
    SYMBOL = 2
    FIRST = 3  #: new shares of a split, micros a share of a dividend
    SECOND = 4  #: old shares of a split


class SimulatedState(IntEnum):
    """Where an order of a simulation ended; names are those of `OrderState`."""

    DENIED = 0
    REJECTED = 1
    ACCEPTED = 2
    PARTIALLY_FILLED = 3
    FILLED = 4
    EXPIRED = 5
    INTENDED = 6  #: while it is judged
    SENT = 7  #: while the batch that leaves with it is judged


class MoneyColumn(IntEnum):
    """Running numbers of the book."""

    CASH = 0
    HELD = 1  #: cash that open orders hold
    ORDERS = 2
    FILLS = 3
    EVENT = 4  #: next corporate event
    QUEUED = 5  #: orders that meet the present bar


class PanelField(IntEnum):
    """What the market's panel holds of one bar, side by side: an order reads all of it at once.

    Eight float64 are one line of a processor's cache. NaN = missing.
    """

    OPEN = 0
    HIGH = 1
    LOW = 2
    CLOSE = 3
    VOLUME = 4
    ADV = 5  #: from here on in the share terms of the session after the row
    VOLATILITY_BPS = 6
    HALF_SPREAD_BPS = 7


class AccountRow(IntEnum):
    """Rows of the account by symbol, int64 (rows, symbols), and of the room that deciding needs."""

    POSITION = 0
    WORKING_BUY = 1
    WORKING_SELL = 2
    RATIO_NEW = 3  #: new shares of a split between the last bar and the present session, else 1
    RATIO_OLD = 4
    RESTRICTED = 5
    CANDIDATE = 6  #: positions of the symbols that may trade
    CHOICE = 7  #: and the seven after it: the fields of the policy's decision
    INPUT = 15  #: and the four after it: a row of the policy's inputs
    SECTOR = 20  #: number of the symbol's sector; -1 = a sector of its own
    WEIGHT = 21  #: unscaled target weight after the present row; MISSING = it cannot be judged


class History(NamedTuple):
    """The market in kernel form. Few arrays, because the compiler takes every one apart in every call."""

    ts_ns: Integers  # (times,)
    panel: Floats  # (times, symbols, PanelField)
    risk_bps: Floats  # (times, symbols): volatility where price and spread can be judged, else NaN
    price_micro: Integers  # (times, symbols): last known close in the row's share terms, 0 = none yet
    decision_micro: Integers  # the same in the terms of the session after; one array where nothing splits
    events: Integers  # (events, 5)
    hours: Integers  # (times, 3): decision, open, close of each bar's session; (0, 3) = not said


class Rules(NamedTuple):
    """Parameters of every kernel that the loop calls."""

    policy: PolicyValues
    limits: LimitValues
    prior: CostValues
    rates: FeeRates
    fills: FillValues
    max_slice_shares: int
    duplicate_window_ns: int
    known_micro: float  # notional up to which the cost model knows
    window_ns: int  # short window of size and value
    price_move_sessions: int


class Held(NamedTuple):
    """What symbols add to the account's exposure; of one symbol, or the sum over all."""

    gross: float  # micros, on the worse side of what works
    working: float  # value of working buys, micros
    net_long: float  # micros, if working buys fill
    net_short: float  # micros, if working sales fill
    orders: int  # that work
    symbols: int  # with a position or a working order


class Exposure(NamedTuple):
    """What earlier orders leave to a later one of the same decision."""

    equity_micro: int
    sent: int  # orders of the last minute
    ordered: int  # value ordered within the short window, micros
    held: Held


class Book(NamedTuple):
    """The account and its records; every array is written by the loop."""

    money: Integers  # MoneyColumn
    account: Integers  # (AccountRow, symbols)
    series: Integers  # (2, times): equity and cash at each close
    orders: Integers  # (room, OrderColumn)
    fills: Integers  # (room, FillColumn)
    queue: Integers  # (2 x symbols,): orders that meet the present bar, in order of acceptance
    floats: Floats  # (5, symbols): half spread, room for volatility, volume and cost floor, sector's orders
    decisions: Integers  # (times, 9, symbols), or (0, 9, symbols) when decisions are not kept


ACCOUNT_ROWS = int(AccountRow.WEIGHT) + 1
