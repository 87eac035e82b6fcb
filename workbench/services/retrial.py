"""A candidate tried again from stored records: its training repeated, its forecasts traded under stress.

Nothing of the first trial is believed. The bars are read as they were known at the candidate's as-of time,
the settings come from its manifest, and the file and the returns that come out have to be those on record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench.core.costs import CostModel
from workbench.core.evaluation import cost_per_side_bps
from workbench.core.features import STATISTICS_ROWS, compute_history, select_features
from workbench.core.forecast import ForecastModel
from workbench.core.gates import Gate, refused
from workbench.core.labels import LABELS
from workbench.core.manifest import ModelManifest
from workbench.core.robustness import (
    annual_sharpe,
    capacity_gate,
    degradation_gate,
    market_regimes,
    noisy_bars,
    participation_of,
    sensitivity_gate,
)
from workbench.core.types import BPS, Bars, Floats, Integers
from workbench.core.validation.guard import leak_reasons, reference_bars
from workbench.errors import DataError
from workbench.services.drift_watch import watch_features
from workbench.services.estimators import ESTIMATORS
from workbench.services.model_files import read_forecast_model
from workbench.services.return_series import ReturnSeries
from workbench.services.training import Experiment, fit_file
from workbench.services.walk_forward import (
    Book,
    TrainingRows,
    block_rows,
    forecast_blocks,
    partition_hash,
    training_rows,
)

#: Penalties and horizons next to the candidate's own; together they are a surface.
ALPHA_FACTORS = (0.25, 1.0, 4.0)
HORIZON_STEPS = (-1, 0, 1)
#: Noise in prices, as a share of each symbol's daily volatility, and its seeds: nobody looks for a kind one.
NOISE, NOISE_SEEDS = 0.1, (1, 2, 3)
#: The symbols that earned most are left out, one at a time.
LEFT_OUT = 3
SIZES = (1.0, 2.0, 4.0, 8.0)
DRIFT_SESSIONS, DRIFT_ALPHA = 60, 0.01


@dataclass(frozen=True, eq=False)
class Market:
    """What a candidate is tried again with; read by the composition root, never given by a person.

    Attributes
    ----------
    bars : Bars
        Adjusted, as known at the candidate's as-of time, from its first training session on.
    sessions : tuple of str
        Session of every bar.
    latest : Bars
        Adjusted, as known now: what the features are watched for drift on.
    trained_to_ns : int
        Close of the last session that training saw.
    cost_then, cost_now : CostModel or None
        The prior that training priced with, and the current cost model; None = nobody approved one.
    max_participation : float
        The desk's limit.
    survivors : tuple of str
        Sources of the bars whose companies were chosen because they survived.
    """

    bars: Bars
    sessions: tuple[str, ...]
    latest: Bars
    trained_to_ns: int
    cost_then: CostModel
    cost_now: CostModel | None
    max_participation: float
    survivors: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Walked:
    """A walk-forward with its forecasts kept: what can be traded again under other conditions.

    Attributes
    ----------
    blocks : tuple of int64 (bars,)
    models : tuple of ForecastModel
        One a block.
    placed : float64 (times, symbols)
        Forecasts out of sample; NaN elsewhere.
    """

    blocks: tuple[Integers, ...]
    models: tuple[ForecastModel, ...]
    placed: Floats

    def traded(self, book: Book, placed: Floats | None = None) -> tuple[Integers, Floats, Floats]:
        """Rows, net and held returns as fractions, block by block, of these or other forecasts."""
        found = [book.result(self.placed if placed is None else placed, block) for block in self.blocks]
        rows, net, hold = (
            np.concatenate([getattr(one, name) for one in found]) for name in ("rows", "net_bps", "hold_bps")
        )
        return rows, net / BPS, hold / BPS

    def excess(self, book: Book, placed: Floats | None = None) -> Floats:
        """Net less held return of each session, fractions."""
        _, net, hold = self.traded(book, placed)
        return net - hold


def experiment_of(manifest: ModelManifest, cost_model: CostModel) -> Experiment:
    """What the manifest says was tried.

    Raises
    ------
    ValueError
        It names a feature, label or estimator that there is none of, or lacks a number.
    """
    kinds = {one.kind: one for one in ESTIMATORS.values()}
    if manifest.kind not in kinds or manifest.label not in LABELS:
        raise ValueError(f"there is no estimator {manifest.kind!r} or no label {manifest.label!r}")
    numbers = manifest.parameters
    missing = {"alpha", "evaluation_notional_usd", "evaluation_allow_short"} - set(numbers)
    if missing:
        raise ValueError(f"its manifest does not say {', '.join(sorted(missing))}")
    return Experiment(
        features=select_features(manifest.features),
        label=LABELS[manifest.label],
        horizon_sessions=manifest.horizon_sessions,
        estimator=kinds[manifest.kind],
        alpha=numbers["alpha"],
        seed=manifest.seed,
        cost_model=cost_model,
        notional_usd=numbers["evaluation_notional_usd"],
        allow_short=bool(numbers["evaluation_allow_short"]),
    )


def walk(experiment: Experiment, bars: Bars, rows: TrainingRows) -> Walked:
    """The walk-forward of an experiment, with its forecasts."""
    placed = np.full(bars.close.shape, np.nan)
    blocks, models = [], []
    for block in forecast_blocks(rows):
        train, test = block_rows(rows, block)
        file = fit_file(experiment, rows.matrix[train], rows.target[train])
        model = read_forecast_model(file, experiment.names)
        placed[rows.bar[test], rows.column[test]] = model.forecast(rows.matrix[test])
        blocks.append(block)
        models.append(model)
    return Walked(tuple(blocks), tuple(models), placed)


class Retrial:
    """One candidate tried again; each method is a gate.

    Parameters
    ----------
    manifest : ModelManifest
    market : Market

    Raises
    ------
    ValueError, DataError
        The training cannot be repeated.
    """

    def __init__(self, manifest: ModelManifest, market: Market) -> None:
        self._manifest, self._market = manifest, market
        self._tried = experiment_of(manifest, market.cost_then)
        bars = market.bars
        end = int(np.searchsorted(np.array(market.sessions), manifest.train_last_session, side="right"))
        self._bars = bars.rows(0, end)
        self._rows = self._training(self._tried)
        self._own = walk(self._tried, self._bars, self._rows)
        self._costs: dict[tuple[str, float], Floats] = {}

    def gates(self, content: bytes, recorded: ReturnSeries) -> tuple[Gate, ...]:
        """Every gate that bars can answer."""
        found = [self.determinism(content, recorded), self.leakage(), self.universe()]
        if not found[0].passed:  # what another model would do says nothing of this one
            return tuple(found)
        if self._market.cost_now is None:
            return (*found, refused("walk-forward", "the current cost model", "no cost model is approved"))
        return (
            *found, self.walk_forward(), self.sensitivity(), self.degradation(), self.capacity(),
            self.drift(),
        )  # fmt: skip

    def determinism(self, content: bytes, recorded: ReturnSeries) -> Gate:
        """The same inputs give the same file and the same returns again."""
        reasons = []
        again = fit_file(self._tried, self._rows.matrix, self._rows.target)
        if hashlib.sha256(again).hexdigest() != hashlib.sha256(content).hexdigest():
            reasons.append("its training, repeated, gives another model file")
        rows, net, hold = self._own.traded(self._book(self._tried, self._market.cost_then))
        series = ReturnSeries.of([self._market.sessions[row] for row in rows], net.tolist(), hold.tolist())
        if series != recorded:
            reasons.append("its walk-forward, repeated, gives other returns than its trial in the ledger")
        if self._manifest.partition_hash not in ("", partition_hash(self._rows)):
            reasons.append("its walk-forward, repeated, tests other rows")
        numbers = {"rows": len(self._rows.target), "sessions": len(rows)}
        evidence = "training repeated on the bars as they were known, byte for byte"
        return Gate(name="determinism", evidence=evidence, numbers=numbers, reasons=tuple(reasons))

    def leakage(self) -> Gate:
        """Both detectors on every feature, over the candidate's own bars and over made-up ones."""
        features = self._tried.features
        reasons = dict.fromkeys([*leak_reasons(features, self._bars),
                                 *leak_reasons(features, reference_bars(features))])  # fmt: skip
        evidence = f"lookahead and warm-up detectors on {len(features)} features, on its bars and on others"
        return Gate(name="leakage on its bars", evidence=evidence, reasons=tuple(reasons))

    def universe(self) -> Gate:
        """Whether the symbols were chosen with hindsight, as far as the store can tell."""
        reasons = tuple(
            f"survivor universe: {source} holds companies that were chosen because they survived"
            for source in self._market.survivors
        )
        numbers = {"symbols": len(self._bars.symbols)}
        return Gate(name="universe", evidence="sources of the bars", numbers=numbers, reasons=reasons)

    def walk_forward(self) -> Gate:
        """Purged walk-forward, net of the cost model that is current now."""
        excess, reasons = self._now(), []
        parts = [float(part.mean()) * BPS for part in np.array_split(excess, len(self._own.blocks))]
        mean = float(excess.mean()) * BPS
        if not mean > 0.0:
            reasons.append(
                f"net of the current costs it earns {mean:.2f} bps a session against holding, out of sample"
            )
        elif sum(part > 0.0 for part in parts) * 2 <= len(parts):
            reasons.append("in half of its blocks or more it earns less than holding")
        _, net, hold = self._own.traded(self._book(self._tried, self._cost_now))
        numbers = {
            "net bps": float(net.mean()) * BPS, "held bps": float(hold.mean()) * BPS, "excess bps": mean,
            "annual Sharpe of excess": annual_sharpe(excess), "sessions": len(excess),
            **{f"excess bps of part {at}": part for at, part in enumerate(parts, 1)},
        }  # fmt: skip
        evidence = f"walk-forward repeated, purged by label end, costs {self._cost_now.model_id[:12]}"
        return Gate(name="walk-forward", evidence=evidence, numbers=numbers, reasons=tuple(reasons))

    def sensitivity(self) -> Gate:
        """Neighbours in penalty, horizon and columns, each a walk-forward of its own."""
        return sensitivity_gate(annual_sharpe(self._now()), self.neighbours())

    def neighbours(self) -> dict[str, float]:
        """Annual Sharpe ratio in excess of holding of every neighbouring setting, by name."""
        surface = self.surface()
        found = {
            f"alpha x {alpha:g}, horizon {horizon}": sharpe
            for (alpha, horizon), sharpe in surface.items()
            if (alpha, horizon) != (1.0, self._tried.horizon_sessions)
        }
        for name in self._tried.names if len(self._tried.names) > 1 else ():
            kept = tuple(one for one in self._tried.features if one.name != name)
            found[f"without the column {name}"] = self._sharpe_of(replace(self._tried, features=kept))
        return found

    def surface(self) -> dict[tuple[float, int], float]:
        """Annual Sharpe ratio in excess of holding over factors of the penalty and horizons."""
        own = self._tried
        steps = [own.horizon_sessions + step for step in HORIZON_STEPS if own.horizon_sessions + step >= 1]
        penalties = [one for one in ALPHA_FACTORS if one * own.alpha < own.estimator.largest_alpha]
        rows = {h: self._training(replace(own, horizon_sessions=h)) for h in steps}
        return {
            (one, h): self._sharpe_of(replace(own, alpha=own.alpha * one, horizon_sessions=h), rows[h])
            for one in penalties
            for h in steps
        }

    def degradation(self) -> Gate:
        """Costs doubled, a bar later, noise in the data, symbols missing, and each kind of market."""
        own, book = self._own, self._book(self._tried, self._cost_now)
        late = np.full_like(own.placed, np.nan)
        late[1:] = own.placed[:-1]
        stressed = {
            "costs x 2": own.excess(replace(book, cost_bps=2.0 * book.cost_bps)),
            "a delay of one bar": own.excess(book, late),
        }
        for seed in NOISE_SEEDS:
            stressed[f"noise {seed}"] = own.excess(book, self._forecast_again(seed))
        for column in self._best_columns():
            without = own.placed.copy()
            without[:, column] = np.nan
            stressed[f"without {self._bars.symbols[column]}"] = own.excess(book, without)
        rows, _, _ = own.traded(book)
        return degradation_gate(self._now(), stressed, market_regimes(self._bars, rows.tolist()))

    def capacity(self) -> Gate:
        """Orders of the book against the volume known then, at its size and at larger ones."""
        tried, rows = self._tried, np.concatenate(self._own.blocks)
        share = participation_of(
            self._bars, rows.tolist(), notional_usd=tried.notional_usd, window=STATISTICS_ROWS
        )
        sizes = {
            times: self._own.excess(self._book(tried, self._cost_now, tried.notional_usd * times))
            for times in (SIZES if np.isfinite(share).any() else ())
        }
        return capacity_gate(
            share, sizes, max_participation=self._market.max_participation, notional_usd=tried.notional_usd
        )

    def drift(self) -> Gate:
        """Whether the features have left what the candidate was trained on."""
        evidence = f"features of the latest {DRIFT_SESSIONS} sessions against those of training"
        try:
            found = watch_features(
                self._market.latest, self._tried.features, trained_to_ns=self._market.trained_to_ns,
                latest_sessions=DRIFT_SESSIONS, alpha=DRIFT_ALPHA,
            )  # fmt: skip
        except DataError as nothing:
            return refused("drift", evidence, f"drift cannot be judged: {nothing.message}")
        moved = found[found["status"] == "drift"]
        reasons = tuple(
            f"features of {symbol} have drifted since training: {changed or 'together'}"
            for symbol, changed in zip(moved["symbol"], moved["changed"], strict=True)
        )
        numbers = {
            "symbols": len(found), "drifted": len(moved),
            "not all columns could be judged": int((found["status"] == "insufficient").sum()),
        }  # fmt: skip
        return Gate(name="drift", evidence=evidence, numbers=numbers, reasons=reasons)

    # --- parts -----------------------------------------------------------------------------------

    @property
    def _cost_now(self) -> CostModel:
        if self._market.cost_now is None:
            raise ValueError("there is no current cost model")
        return self._market.cost_now

    def _training(self, tried: Experiment) -> TrainingRows:
        return training_rows(
            self._bars, tried.features, label=tried.label, horizon_sessions=tried.horizon_sessions
        )

    def _now(self) -> Floats:
        return self._own.excess(self._book(self._tried, self._cost_now))

    def _sharpe_of(self, tried: Experiment, rows: TrainingRows | None = None) -> float:
        walked = walk(tried, self._bars, self._training(tried) if rows is None else rows)
        return annual_sharpe(walked.excess(self._book(tried, self._cost_now)))

    def _book(self, tried: Experiment, costs: CostModel, notional_usd: float | None = None) -> Book:
        notional = tried.notional_usd if notional_usd is None else notional_usd
        key = (costs.model_id, notional)
        if key not in self._costs:
            self._costs[key] = cost_per_side_bps(self._bars, costs, notional_usd=notional)
        return Book(self._bars, self._costs[key], tried.horizon_sessions, tried.allow_short)

    def _forecast_again(self, seed: int) -> Floats:
        """Forecasts of the same models from features of noisy bars."""
        matrix = compute_history(self._tried.features, noisy_bars(self._bars, fraction=NOISE, seed=seed))
        placed = np.full(self._bars.close.shape, np.nan)
        for block, model in zip(self._own.blocks, self._own.models, strict=True):
            rows = np.arange(block[0], block[-1] + 1)
            usable = np.isfinite(matrix[rows]).all(axis=2) & np.isfinite(self._own.placed[rows])
            part = placed[rows]
            part[usable] = model.forecast(matrix[rows][usable])
            placed[rows] = part
        return placed

    def _best_columns(self) -> Sequence[int]:
        """The symbols whose forecasts earned most at the next open, best first."""
        opens = self._bars.open
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = opens[2:] / opens[1:-1] - 1.0
        gain = np.nansum(np.nan_to_num(self._own.placed[:-2]) * np.nan_to_num(moved), axis=0)
        return [int(at) for at in np.argsort(-gain, kind="stable")[: min(LEFT_OUT, len(gain) - 1)]]


def try_again(
    manifest: ModelManifest, content: bytes, recorded: ReturnSeries, market: Market
) -> tuple[Gate, ...]:
    """Every gate that bars can answer; a training that cannot be repeated is one gate that refuses."""
    evidence = "training repeated on the bars as they were known"
    try:
        return Retrial(manifest, market).gates(content, recorded)
    except (ValueError, DataError) as error:
        words = error.message if isinstance(error, DataError) else str(error)
        return (refused("determinism", evidence, f"its training cannot be repeated: {words}"),)
