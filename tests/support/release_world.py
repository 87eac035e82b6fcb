"""A desk whose candidate deserves a release: planted prices, a real journal, a real training, real gates.

Every gate is the real one. Judging takes seconds, so an examiner here remembers what it found for the same
model, stage and market: the records it reads besides are judged anew each time.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from planted import COSTS, HASH, TRIED, Weekdays

from workbench.adapters.journal import JournalDatabase
from workbench.adapters.registry import FileRegistry
from workbench.core.features import features_hash, select_features
from workbench.core.gates import Gate
from workbench.core.ports import Event
from workbench.core.types import Bars
from workbench.services.authorship import Author
from workbench.services.examiner import DeskExaminer
from workbench.services.holdout import read_holdout
from workbench.services.people import People
from workbench.services.release import stage_model
from workbench.services.retrial import Market
from workbench.services.training import train_candidate
from workbench.services.two_people import TwoPeople

SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
FEATURES = select_features(("momentum_20", "reversal_5", "volatility_20"))
DAYS = Weekdays().sessions_between("1998-01-05", "2011-12-30")
TRAINED, HELD = 3_250, 60
WALL_NS = 1_400_000_000_000_000_000
DESK = {
    "features_hash": features_hash(FEATURES), "config_hash": HASH, "universe": SYMBOLS, "horizon_sessions": 5,
    "holdout_sessions": HELD,
}  # fmt: skip
EXPERIMENT = replace(TRIED, features=FEATURES)


def prices(*, seed: int = 11, strength: float = 0.002, sessions: int = TRAINED + HELD) -> Bars:
    """Prices whose expected daily return wanders slowly, with that standard deviation: momentum finds it."""
    draw = np.random.default_rng(seed)
    returns = draw.normal(0.0, 0.01, (sessions, len(SYMBOLS)))
    expected, shocks = np.zeros(len(SYMBOLS)), draw.normal(0.0, strength, returns.shape)
    for row in range(sessions):
        expected = 0.98 * expected + np.sqrt(1.0 - 0.98**2) * shocks[row]
        returns[row] += expected
    close = 50.0 * np.cumprod(1.0 + returns, axis=0)
    span = close * draw.uniform(0.004, 0.02, close.shape)
    return Bars(
        ts_ns=np.array([Weekdays().session_close_ns(day) for day in DAYS[:sessions]], dtype=np.int64),
        symbols=SYMBOLS, open=close.copy(), high=close + span, low=close - span, close=close,
        volume=np.round(draw.uniform(1e6, 2e6, close.shape)), tradable=np.ones(close.shape, dtype=np.bool_),
    )  # fmt: skip


@dataclass
class Remembering:
    """The desk's examiner, asked once for each model, stage and market."""

    world: World
    two: TwoPeople | None
    found: dict[Any, tuple[Gate, ...]]

    def gates(self, manifest: Any, content: bytes, model_id: str, stage: str) -> tuple[Gate, ...]:
        """Gates of the real examiner."""
        tried = len(self.world.journal.rows("trials", model_id=model_id))
        key = (model_id, stage, id(self.world.bars), content, tried)
        if key not in self.found:
            self.found[key] = self.world.examiner(self.two).gates(manifest, content, model_id, stage)
        return self.found[key]


@dataclass
class World:
    """A journal and a registry on disk, with one candidate that was trained, held out and recorded."""

    folder: Path
    bars: Bars
    model_id: str
    found: dict[Any, tuple[Gate, ...]] = field(default_factory=dict)
    wall_ns: int = WALL_NS

    def __post_init__(self) -> None:
        self.registry = FileRegistry(self.folder / "registry")
        self.journal = JournalDatabase(
            f"sqlite:///{self.folder / 'journal.sqlite'}", anchor_path=self.folder / "anchor",
            anchor_key=b"k" * 32, config_hash=HASH, wall_ns=lambda: self.wall_ns,
        )  # fmt: skip

    def market(self, **changes: Any) -> Market:
        """What the candidate is tried again with."""
        known = Market(
            bars=self.bars, sessions=DAYS[: len(self.bars.ts_ns)], latest=self.bars,
            trained_to_ns=int(self.bars.ts_ns[TRAINED - 1]), cost_then=COSTS, cost_now=COSTS,
            max_participation=0.02,
        )  # fmt: skip
        return replace(known, **changes)

    def examiner(self, two: TwoPeople | None = None) -> DeskExaminer:
        """The real examiner, without shadow sessions."""
        return DeskExaminer(
            journal=self.journal, registry=self.registry, account="demo", market=lambda _: self.market(),
            shadow=lambda model_id, manifest: None, two=two,
        )  # fmt: skip

    def two(self) -> TwoPeople:
        """What takes two people, by this world's wall clock."""
        return TwoPeople(self.journal, People(self.journal), account="demo", wall_ns=lambda: self.wall_ns)

    def promote(
        self, *, stage: str = "shadow", person: str = "ada", two: bool = False, **changes: Any
    ) -> Any:
        """One person's attempt."""
        examiner = Remembering(self, self.two() if two else None, self.found)
        return stage_model(
            self.journal, self.registry, changes.pop("model_id", self.model_id), stage=stage, person=person,
            reason="sound", examiner=examiner, **{**DESK, **changes},
        )  # fmt: skip

    def read_holdout(self, model_id: str) -> None:
        """The candidate's one look."""
        read_holdout(
            self.journal, self.registry, model_id, bars=self.bars, sessions=DAYS[: len(self.bars.ts_ns)],
            holdout_sessions=HELD, cost_model=COSTS, notional_usd=EXPERIMENT.notional_usd, allow_short=True,
        )  # fmt: skip


def train(
    world: World,
    experiment: Any = EXPERIMENT,
    *,
    rows: int = TRAINED,
    as_of_ns: int = 0,
    author: str = "mary",
) -> str:
    """A candidate of the world's bars; by default its holdout is left out."""
    people = People(world.journal) if author else None
    return train_candidate(
        experiment, bars=world.bars.rows(0, rows), calendar=Weekdays(),
        as_of_ns=as_of_ns or int(world.bars.ts_ns[-1]), bars_fingerprint=HASH, provenance="real",
        config_hash=HASH, code_hash=HASH, registry=world.registry, journal=world.journal,
        author=Author(author, people),
    ).model_id  # fmt: skip


def new_world(folder: Path, bars: Bars | None = None) -> World:
    """A desk with an author and two more people, the author's candidate, its trial and its holdout."""
    folder.mkdir(parents=True, exist_ok=True)
    world = World(folder, prices() if bars is None else bars, "")
    for person, role in (("ada", "operator"), ("grace", "approver"), ("mary", "operator")):
        world.journal.commit([Event("person.added", {"person": person, "role": role, "passphrase_hash": ""})])
    world.model_id = train(world)
    world.read_holdout(world.model_id)
    return world


def copier(original: World) -> Callable[[Path], World]:
    """Makes copies of a world's files; what its examiner found goes along."""
    original.journal.close()

    def copy(folder: Path) -> World:
        shutil.copytree(original.folder, folder)
        return World(folder, original.bars, original.model_id, original.found)

    return copy
