"""What a loopback venue is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from workbench.core.costs import FeeSchedule
from workbench.core.fills import FillParams
from workbench.errors import ConfigError

MATCHING = ("quotes", "daily")


@dataclass(frozen=True)
class VenueOptions:
    """What a loopback venue is; everything that decides about money is in its journal.

    Attributes
    ----------
    account : str
        Name of the account; its id and number follow from it.
    cash_micro : int
        Opening cash, micros.
    symbols : tuple of str
        The assets that can be traded.
    start_ns : int
        Trading time at the first start, UTC nanoseconds; a restart goes on where the journal ends.
    clock_rate : float
        Trading seconds in a wall second; 0 = time moves only by the admin port.
    matching : str
        "quotes": orders trade against the standing bid and ask as they change. "daily": they see the opening
        auction, the day's range and the close, exactly as the venue in process.
    partial_fills : float
        Probability that an execution is partial, in [0, 1); Alpaca's paper venue has 0.1.
    rate_limit_per_minute : int or None
        Requests a minute before 429; Alpaca allows 200. None = no limit.
    seed : int
        Of everything that is drawn.
    fees, fills : FeeSchedule, FillParams
    key, secret : str
        What clients must send, never logged; "" = made from the account's name, the same at every start.
    """

    account: str
    cash_micro: int
    symbols: tuple[str, ...]
    start_ns: int
    clock_rate: float = 1.0
    matching: str = "quotes"
    partial_fills: float = 0.0
    rate_limit_per_minute: int | None = None
    seed: int = 7
    fees: FeeSchedule = field(default_factory=FeeSchedule)
    fills: FillParams = field(default_factory=FillParams)
    key: str = ""
    secret: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        made = hashlib.sha256(f"loopback keys of {self.account}".encode()).hexdigest()
        object.__setattr__(self, "key", self.key or f"PK{made[:18].upper()}")
        object.__setattr__(self, "secret", self.secret or made[18:58])
        if self.matching not in MATCHING:
            raise ConfigError(f"matching {self.matching!r} is unknown", next_step="use quotes or daily")
        if not 0.0 <= self.partial_fills < 1.0:
            raise ConfigError(
                f"partial fills {self.partial_fills!r} is not a probability below 1",
                next_step="use a number from 0 up to, not including, 1",
            )
