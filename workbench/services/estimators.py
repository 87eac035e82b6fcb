"""The estimators that may become a candidate: scikit-learn pipelines that end in a linear formula.

A trading session reads a model file as a linear formula, without scikit-learn, whose import costs a
notebook kernel seconds; the file may hold only types on a short list, and the same training must give the
same bytes. Estimators that cannot meet this are refused with the reason.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.types import Floats
from workbench.errors import UsageError

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

L1_RATIO = 0.5  #: share of the absolute penalty in an elastic net
_LEAST_ALPHA = 1e-6


@dataclass(frozen=True)
class Estimator:
    """A kind of model that `workbench train --estimator` can fit.

    Attributes
    ----------
    name, kind : str
        As on the command line, and as in the manifest.
    alpha_meaning : str
        What its penalty is measured in.
    default_alpha : float or None
        None = the setting `model.ridge_alpha`.
    largest_alpha : float
        Exclusive; above it every coefficient is zero.
    """

    name: str
    kind: str
    alpha_meaning: str
    default_alpha: float | None
    largest_alpha: float

    def alpha(self, given: float | None, configured: float) -> float:
        """The penalty to use: what was given, else the estimator's default, else the configured one.

        Raises
        ------
        UsageError
            It is not a number within the estimator's range.
        """
        default = configured if self.default_alpha is None else self.default_alpha
        alpha = default if given is None else float(given)
        if not (math.isfinite(alpha) and _LEAST_ALPHA <= alpha < self.largest_alpha):
            raise UsageError(
                f"alpha = {alpha:g} is no penalty for {self.name}: {self.alpha_meaning}",
                next_step=f"give --alpha from {_LEAST_ALPHA:g} to below {self.largest_alpha:g}",
                alpha=alpha,
            )
        return alpha

    def parameters(self) -> dict[str, float]:
        """Its fixed numbers besides alpha, for the manifest."""
        return {"l1_ratio": L1_RATIO} if self.name == "elastic_net" else {}


ESTIMATORS: Mapping[str, Estimator] = MappingProxyType(
    {
        one.name: one
        for one in (
            Estimator(
                "ridge",
                "standard_scaler+ridge",
                "squared penalty in units of one standardised feature's sum of squares",
                None,
                math.inf,
            ),
            Estimator(
                "elastic_net",
                "standard_scaler+elastic_net",
                "fraction of the smallest penalty that leaves no coefficient (half absolute, half squared)",
                0.1,
                1.0,
            ),
        )
    }
)

_TREES = (
    "a model file is read as a linear formula, as scikit-learn costs a trading kernel seconds, "
    "and holds only listed types; skops does not trust {kind} without being told to"
)
#: Estimators that people ask for, and why a candidate cannot be one.
REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "hist_gradient_boosting": _TREES.format(
            kind="sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
        ),
        "random_forest": _TREES.format(kind="sklearn.tree._tree.Tree"),
    }
)


def find_estimator(name: str) -> Estimator:
    """The estimator of that name.

    Raises
    ------
    UsageError
        It is refused, with the reason, or unknown, with the nearest known one.
    """
    if name in ESTIMATORS:
        return ESTIMATORS[name]
    known = ", ".join(ESTIMATORS)
    if name in REFUSED:
        raise UsageError(
            f"estimator {name!r} cannot become a candidate: {REFUSED[name]}",
            next_step=f"use one of: {known}",
            estimator=name,
        )
    nearest = difflib.get_close_matches(name, [*ESTIMATORS, *REFUSED], n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]}? " if nearest else ""
    raise UsageError(
        f"there is no estimator {name!r}", next_step=f"{hint}use one of: {known}", estimator=name
    )


def fit_pipeline(
    estimator: Estimator, matrix: Floats, target: Floats, *, alpha: float, seed: int
) -> Pipeline:
    """The fitted pipeline with its learned numbers rounded; one thread, so that sums have one order."""
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1):
        step = _regression(estimator, matrix, target, alpha=alpha, seed=seed)
        pipeline = Pipeline([("scale", StandardScaler()), (estimator.name, step)])
        pipeline.fit(matrix, target)
    _round_learned(pipeline)
    return pipeline


def _regression(estimator: Estimator, matrix: Floats, target: Floats, *, alpha: float, seed: int) -> Any:
    from sklearn.linear_model import ElasticNet, Ridge

    if estimator.name == "ridge":
        return Ridge(alpha=alpha, solver="cholesky", random_state=seed)
    scale = np.std(matrix, axis=0)
    standard = (matrix - np.mean(matrix, axis=0)) / np.where(scale > 0.0, scale, 1.0)
    reach = np.abs(standard.T @ (target - np.mean(target))) / len(target)
    penalty = float(f"{alpha * float(np.max(reach)) / L1_RATIO:.11e}")
    return ElasticNet(alpha=max(penalty, 1e-300), l1_ratio=L1_RATIO, max_iter=100_000, tol=1e-10)


def _round_learned(pipeline: Pipeline) -> None:
    # 12 digits: the last ones depend on the processor that added the sums, and mean nothing
    for step, names in zip(
        pipeline.named_steps.values(),
        (("mean_", "var_", "scale_"), ("coef_", "intercept_", "dual_gap_")),
        strict=True,
    ):
        for name in names:
            if not hasattr(step, name):
                continue
            value = np.asarray(getattr(step, name), dtype=np.float64)
            rounded = np.array([float(f"{one:.11e}") for one in value.ravel()]).reshape(value.shape)
            setattr(step, name, rounded if value.ndim else np.float64(rounded))
