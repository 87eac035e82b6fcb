"""Sequential drift: one value at a time, and a stated probability of ever alarming while nothing changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from workbench.core.drift import paths
from workbench.core.drift.calibration import largest_statistics, threshold_of
from workbench.core.drift.paths import METHODS, statistic_path
from workbench.core.drift.standardise import NormalScores
from workbench.core.printing import html_table
from workbench.core.types import MICRO, Floats
from workbench.errors import DataError, UsageError

LEAST_HORIZON = {"adwin": 64, "page_hinkley": 60, "kswin": 130, "cusum": 10}
_MISSING_SHARE = 0.1
_STATE = "drift-detector-1"
Step = Callable[[float], bool]


class SequentialDetector:
    """A drift detector whose `alpha` is the probability of any alarm within `horizon` unchanged updates.

    Values are standardised by the reference (normal scores, so that units, fat tails and single absurd
    values do not matter), then given to River's ADWIN, Page-Hinkley or KSWIN, or to the own CUSUM of level
    and spread. The threshold is calibrated on streams drawn, with references of their own, from the
    reference in blocks. After an alarm, and after every horizon, the detector starts anew.

    ADWIN, Page-Hinkley and KSWIN compare a stream with its own past; only the CUSUM compares it with the
    reference, and it is the quickest where the change is there from the beginning.

    Parameters
    ----------
    method : {"adwin", "page_hinkley", "kswin", "cusum"}
    alpha : float
        In (0, 0.5).
    horizon : int
        Updates; at least 10 (cusum), 60 (page_hinkley), 64 (adwin), 130 (kswin). At most a third of the
        reference where times differ for longer than it remembers: on permuted market history a CUSUM with
        three years of each alarmed in 14 of 100 horizons where 5 were meant, with one year of stream in 6.
    min_reference : int
        Reference values below which `fit` refuses.
    block_length : int or None
        Rows a block of the resampling; None = from the data. With labels over a horizon, at least that.
    seed : int
        Of the calibration, and of KSWIN's own drawing.

    Examples
    --------
    >>> import numpy as np
    >>> draw = np.random.default_rng(2)
    >>> detector = SequentialDetector(
    ...     "cusum", alpha=0.05, horizon=250, min_reference=250, block_length=None, seed=1
    ... ).fit(draw.normal(size=500))
    >>> any([detector.update(value) for value in draw.normal(1.0, 1.0, 50)])
    True
    """

    def __init__(
        self,
        method: str,
        *,
        alpha: float,
        horizon: int,
        min_reference: int,
        block_length: int | None,
        seed: int,
    ) -> None:
        if method not in METHODS:
            raise UsageError(
                f"there is no detector {method!r}", next_step=f"choose one of {', '.join(METHODS)}"
            )
        if not 0.0 < alpha < 0.5:
            raise UsageError(f"alpha is {alpha}", next_step="name a probability between 0 and 0.5")
        if horizon < LEAST_HORIZON[method]:
            raise UsageError(
                f"{method} sees nothing within {horizon} updates",
                next_step=f"name a horizon of at least {LEAST_HORIZON[method]}",
            )
        if min_reference < 20 or (block_length is not None and block_length < 1):
            raise UsageError(
                f"min_reference is {min_reference}, block_length {block_length}",
                next_step="ask for at least 20 reference values and blocks of 1 or more rows",
            )
        self.method = method
        self.alpha = alpha
        self.horizon = horizon
        self.min_reference = min_reference
        self.block_length = block_length
        self.seed = seed

    def _repr_html_(self) -> str:
        fitted = hasattr(self, "threshold_")
        facts: dict[str, object] = {"fitted": fitted}
        if fitted:
            facts |= {
                "threshold": float(self.threshold_),
                "updates": self.updates,
                "alarms": len(self.alarms),
            }
        conventions = {"chance of any alarm": self.alpha, "within so many updates": self.horizon}
        return html_table(f"Sequential detector {self.method}", facts, conventions)

    def fit(self, reference: Any) -> SequentialDetector:
        """The detector itself, calibrated on reference values in order of time and ready for updates.

        Raises
        ------
        DataError
            Fewer than `min_reference` finite values, fewer than the block length needs, or a reference
            that never varies.
        """
        values = np.asarray(reference, dtype=np.float64).ravel()
        values = values[np.isfinite(values)]
        least = max(self.min_reference, 2 * (self.block_length or 1))
        if len(values) < least:
            raise DataError(
                f"the reference holds {len(values)} values, {least} are needed",
                next_step="lengthen the reference; a detector without one would alarm at random",
            )
        if float(values.min()) == float(values.max()):
            raise DataError(
                f"the reference is {values[0]:g} throughout: nothing to standardise by",
                next_step="watch the feature with compare(), which sees a constant change",
            )
        self.scores_ = NormalScores.of(values)
        largest = largest_statistics(
            self.method, self.scores_.of_many(values), horizon=self.horizon,
            block_length=self.block_length, seed=self.seed,
        )  # fmt: skip
        self.threshold_ = threshold_of(largest, self.alpha)
        self._begin()
        return self

    def _begin(self) -> None:
        self.updates = 0
        self.missing = 0
        self.alarms: list[int] = []
        self._position = 0
        self._since_start: list[int] = []
        self._step = _started(self.method, self.threshold_, self.seed)

    def update(self, x: float) -> bool:
        """Whether the value x raises an alarm; a missing or infinite one is counted and never alarms.

        Raises
        ------
        UsageError
            The detector was not fitted.
        """
        if not hasattr(self, "scores_"):
            raise UsageError("the detector has no reference", next_step="call fit(reference) first")
        self.updates += 1
        self._position += 1
        alarm = False
        value = float(x)
        if math.isfinite(value):
            micro = self.scores_.micro_of(value)
            self._since_start.append(micro)
            alarm = self._step(micro / MICRO)
        else:
            self.missing += 1
        if alarm:
            self.alarms.append(self.updates)
        if alarm or self._position >= self.horizon:
            self._since_start = []
            self._step = _started(self.method, self.threshold_, self.seed)
        if self._position >= self.horizon:
            self._position = 0
        return alarm

    @property
    def status(self) -> str:
        """What to believe: drift after an alarm, insufficient when a tenth was missing, else none."""
        if self.alarms:
            return "drift"
        return "insufficient" if self.missing > _MISSING_SHARE * max(1, self.updates) else "none"

    def state(self) -> dict[str, Any]:
        """Everything that a restart needs, as integers, strings and lists of them; see `from_state`.

        The detectors are deterministic, so the scores since the last start stand for their insides: at most
        one horizon of integers.
        """
        return {
            "kind": _STATE,
            "method": self.method,
            "alpha": repr(self.alpha),
            "horizon": self.horizon,
            "min_reference": self.min_reference,
            "block_length": self.block_length or 0,
            "seed": self.seed,
            "edges": [value.hex() for value in self.scores_.edges.tolist()],
            "scores_micro": self.scores_.micro.tolist(),
            "threshold": self.threshold_.hex(),
            "updates": self.updates,
            "missing": self.missing,
            "alarms": list(self.alarms),
            "position": self._position,
            "since_start_micro": list(self._since_start),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> SequentialDetector:
        """The detector that wrote the state; it will raise the same alarms.

        Raises
        ------
        DataError
            A state of another kind, or one that lacks a key.
        """
        if state.get("kind") != _STATE:
            raise DataError(
                f"state of kind {state.get('kind')!r} is not {_STATE!r}", next_step="fit the detector anew"
            )
        try:
            made = cls(
                state["method"], alpha=float(state["alpha"]), horizon=state["horizon"],
                min_reference=state["min_reference"], block_length=state["block_length"] or None,
                seed=state["seed"],
            )  # fmt: skip
            edges = np.array([float.fromhex(text) for text in state["edges"]])
            made.scores_ = NormalScores(edges, np.array(state["scores_micro"], dtype=np.int64))
            made.threshold_ = float.fromhex(state["threshold"])
            made._begin()
            made.updates, made.missing = state["updates"], state["missing"]
            made.alarms, made._position = list(state["alarms"]), state["position"]
            made._since_start = list(state["since_start_micro"])
        except KeyError as missing:
            raise DataError(f"the state has no {missing}", next_step="fit the detector anew") from None
        for micro in made._since_start:
            made._step(micro / MICRO)
        return made

    def timeline(self, stream: Iterable[float]) -> pd.DataFrame:
        """What the detector would say of a stream from here on, without changing it; a frame for pictures.

        Returns
        -------
        DataFrame
            One row a value: value, score, statistic (0 where the method does not look; KSWIN's is drawn anew
            and may differ from the detector's own), threshold, alarm.
        """
        copy = SequentialDetector.from_state(self.state())
        values = np.asarray(list(stream), dtype=np.float64)
        index = getattr(stream, "index", pd.RangeIndex(len(values)))
        alarms = np.array([copy.update(value) for value in values.tolist()], dtype=np.bool_)
        known = np.isfinite(values)
        score = np.full(len(values), np.nan)
        score[known] = self.scores_.of_many(values[known])
        restarts = {0, *(np.flatnonzero(alarms) + 1).tolist()}
        restarts |= set(range(self.horizon - self._position, len(values), self.horizon))
        statistic = np.zeros(len(values))
        bounds = sorted(restarts | {len(values)})
        before = np.array(self._since_start, dtype=np.float64) / MICRO
        for start, end in pairwise(bounds):
            rows = np.flatnonzero(known[start:end]) + start
            statistic[rows] = self._statistics(np.concatenate([before, score[rows]]))[len(before) :]
            before = np.zeros(0)
        return pd.DataFrame(
            {
                "value": values,
                "score": score,
                "statistic": statistic,
                "threshold": self.threshold_,
                "alarm": alarms,
            },
            index=index,
        )

    def _statistics(self, scores: Floats) -> Floats:
        out = np.zeros(len(scores))
        if len(scores):
            statistic_path(METHODS.index(self.method), scores, np.array([self.seed], dtype=np.uint64), out)
        return out


def _started(method: str, threshold: float, seed: int) -> Step:
    """A fresh detector as a function that takes a score and says whether it alarms."""
    if method == "cusum":
        sums = np.zeros(4)
        return lambda score: bool(paths.cusum_step(score, sums) > threshold)
    from river import drift

    made: Any
    if method == "adwin":
        made = drift.ADWIN(  # type: ignore[no-untyped-call]
            delta=math.exp(-threshold), clock=paths.ADWIN_CLOCK, max_buckets=paths.ADWIN_BUCKETS,
            min_window_length=paths.ADWIN_LEAST_WINDOW, grace_period=paths.ADWIN_GRACE,
        )  # fmt: skip
    elif method == "page_hinkley":
        made = drift.PageHinkley(
            min_instances=paths.PAGE_HINKLEY_LEAST_ROWS, delta=paths.PAGE_HINKLEY_DELTA,
            threshold=threshold, alpha=paths.PAGE_HINKLEY_FORGETTING, mode="both",
        )  # fmt: skip
    else:
        made = drift.KSWIN(
            alpha=_kswin_level(threshold),
            window_size=paths.KSWIN_WINDOW,
            stat_size=paths.KSWIN_RECENT,
            seed=seed,
        )

    def step(score: float) -> bool:
        made.update(score)
        return bool(made.drift_detected)

    return step


def _kswin_level(threshold: float) -> float:
    """The p-value at which KSWIN has to alarm so that it does where its distance exceeds the threshold."""
    from scipy.stats import ks_2samp

    count = paths.KSWIN_RECENT
    apart = min(count, round(threshold * count) + 1)
    ranks = np.arange(count, dtype=np.float64)
    return float(ks_2samp(ranks, ranks + apart - 0.5).pvalue) * (1.0 + 1e-9)
