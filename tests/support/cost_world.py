"""A desk that trades where its edge beats the floor, in a world whose true costs a test may change."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.adapters.calendar import ExchangeCalendar
from workbench.adapters.journal import JournalDatabase
from workbench.adapters.registry import FileRegistry
from workbench.core.costs import CalibrationRule, CostModel, FeeSchedule, PriorCost, prior
from workbench.core.ports import Event
from workbench.errors import ApprovalRequired, Refused
from workbench.services.calibration import CalibrationService
from workbench.services.promotion import approve_cost_model, current_cost_model

ACCOUNT, FIRST = "demo", "2013-01-02"
CALENDAR = ExchangeCalendar(first="2012-11-01", last="2015-12-31")
SYMBOLS = tuple(f"S{n}" for n in range(6))
#: A market at which floors are compared.
PROBE = {"adv": 1e6, "volatility_bps": 190.0, "half_spread_bps": 4.5, "price": 50.0}
COLUMNS = [
    "session", "symbol", "side", "quantity", "price", "adv", "volatility_bps", "half_spread_bps", "cost_bps",
    "fee_bps", "expected_bps", "execution_id", "source",
]  # fmt: skip


@dataclass
class Day:
    """What one session left behind."""

    session: str
    floor_bps: float
    fills: int
    decision: str
    status: str


@dataclass
class World:
    """Opportunities of random edge; `truth(n)` multiplies spread and impact on day n."""

    folder: Path
    fills_a_day: int
    truth: Callable[[int], float]
    seed: int = 1
    noise_bps: float = 20.0
    shock_bps: float = 2.0
    rule: CalibrationRule = field(default_factory=CalibrationRule)
    person_approves: Callable[[int], bool] = lambda day: day == 0
    mode: str = "replay"

    def __post_init__(self) -> None:
        self.journal = JournalDatabase(
            f"sqlite:///{self.folder / 'journal.sqlite'}", anchor_path=self.folder / "anchor",
            anchor_key=b"k" * 32, config_hash="c" * 64, wall_ns=lambda: 1_357_000_000_000_000_000,
        )  # fmt: skip
        self.registry = FileRegistry(self.folder / "registry")
        self.journal.commit(
            [Event("person.added", {"person": "ada", "role": "approver", "passphrase_hash": ""})]
        )
        self.records = pd.DataFrame(columns=COLUMNS)
        self.draw = np.random.Generator(np.random.Philox(self.seed))
        self.days: list[Day] = []
        self.service = CalibrationService(
            self.journal, self.registry, CALENDAR, account=ACCOUNT, mode=self.mode, rule=self.rule,
            fees=FeeSchedule(),
        )  # fmt: skip
        self.session = FIRST
        before_ns = CALENDAR.session_close_ns(CALENDAR.previous_session(FIRST))
        self.approve(prior(PriorCost(), FeeSchedule(), as_of_ns=before_ns))

    def approve(self, model: CostModel) -> str:
        return approve_cost_model(self.journal, self.registry, model, person="ada", reason="test")

    def model(self) -> CostModel:
        """The model that the session may trade with; raises as the desk would."""
        at_ns = CALENDAR.session_open_ns(self.session)
        return current_cost_model(self.journal, self.registry, at_ns, mode=self.mode)

    def step(self) -> Day:
        """Trade one session where the model allows it, close it and calibrate."""
        floor, fills, status = math.nan, 0, "ok"
        try:
            model = self.model()
        except Refused as refusal:
            status = refusal.message
        else:
            floor = model.floor_bps("S0", 1_000, **PROBE)
            new = self.trade(model)
            fills = len(new)
            if fills:
                self.records = pd.concat([self.records, new]) if len(self.records) else new
        self.close(self.session)
        try:
            decision = self.service.run(self.records, self.session, source="simulated").decision
        except ApprovalRequired as waiting:
            decision = "needs_approval"
            if self.person_approves(len(self.days)):
                self.service.approve(str(waiting.facts["cost_model_id"]), person="ada", reason="looked at it")
        self.days.append(Day(self.session, floor, fills, decision, status))
        self.session = CALENDAR.next_session(self.session)
        return self.days[-1]

    def run(self, days: int) -> list[Day]:
        for _ in range(days):
            self.step()
        return self.days

    def close(self, session: str) -> None:
        payload = {
            "account": ACCOUNT, "strategy": "trend", "session": session, "digest": "d" * 64,
            "equity_micro": 1, "cash_micro": 1, "positions": {}, "report": {},
        }  # fmt: skip
        self.journal.commit([Event("session.closed", payload)])

    def trade(self, model: CostModel) -> pd.DataFrame:
        """Fills of a day: twice as many opportunities as the desk would take at the true floor of day 0."""
        draw, count = self.draw, 2 * self.fills_a_day
        spread, volatility = draw.uniform(1.0, 8.0, count), draw.uniform(80.0, 300.0, count)
        adv = np.round(10.0 ** draw.uniform(6.5, 8.0, count))
        quantity = np.maximum(np.round(adv * 10.0 ** draw.uniform(-5.0, -3.3, count)), 1.0)
        symbol, side = draw.integers(0, len(SYMBOLS), count), draw.integers(0, 2, count)
        edge = draw.exponential(22.0, count)
        slope = volatility * np.sqrt(quantity / adv)
        true = self.truth(len(self.days)) * (spread + slope)
        shape = 4.0 / 9.0
        noise = (draw.gamma(shape, 1.0, count) - shape) / math.sqrt(shape) * self.noise_bps
        cost = true + noise + draw.normal(0.0, self.shock_bps)
        names = [SYMBOLS[n] for n in symbol]
        prices = np.full(count, 50_000_000, dtype=np.int64)
        small = np.minimum(quantity, 4_000.0)  # the prior knows orders of up to 200,000 USD
        shares = small if model.source == "prior" else quantity
        floors = model.floor_row_bps(
            shares.astype(np.int64), price_micro=prices, adv_shares=adv, volatility_bps=volatility,
            half_spread_bps=spread, symbols=tuple(names),
        )  # fmt: skip
        rows = []
        for at in np.flatnonzero(edge > floors):
            word = "buy" if side[at] else "sell"
            said = model.expected_bps(
                names[at], word, int(shares[at]), adv=adv[at], volatility_bps=volatility[at],
                half_spread_bps=spread[at], price=50.0,
            )  # fmt: skip
            fee = 0.1
            rows.append((
                self.session, names[at], word, quantity[at], 50.0, adv[at], volatility[at], spread[at],
                cost[at] + fee, fee, said.mean, f"{self.session}/{at}", "simulated",
            ))  # fmt: skip
        return pd.DataFrame(rows, columns=COLUMNS)
