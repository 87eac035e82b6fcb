"""A registered candidate's own model, fitted anew for every split of combinatorial cross-validation.

The walk-forward of a training is one path through history. Here the same features, label, penalty and seed
are fitted on every purged training set, so that there are as many histories as paths.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from workbench.core.manifest import ModelManifest
from workbench.core.types import Floats
from workbench.core.validation import CombinatorialPurgedKFold, refitted_paths
from workbench.core.workers import HERE, Workers
from workbench.services.model_files import read_forecast_model
from workbench.services.retrial import Market, experiment_of
from workbench.services.training import Experiment, fit_file
from workbench.services.walk_forward import training_rows

LABEL = "label"


def refit_candidate(
    manifest: ModelManifest, market: Market, *, n_folds: int, n_test_folds: int, embargo: int,
    workers: Workers = HERE,
) -> pd.DataFrame:  # fmt: skip
    """Label and forecasts out of sample of a candidate's model on every path.

    Parameters
    ----------
    manifest : ModelManifest
        Says what was tried; its file is not read.
    market : Market
        Bars as they were known at its training.
    n_folds, n_test_folds : int
        Parts of the history, and how many of them each split forecasts.
    embargo : int
        Sessions after a forecast part that train nothing.
    workers : Workers, default here
        Where splits are fitted; the result is the same.

    Returns
    -------
    DataFrame (rows, 1 + paths)
        Index session and symbol; column "label", then one a path, numbered from 1. Rows are purged by the
        end of their label.

    Raises
    ------
    ValueError
        The manifest names what there is none of, or the folds leave nothing to train on.
    """
    tried = experiment_of(manifest, market.cost_then)
    end = int(np.searchsorted(np.array(market.sessions), manifest.train_last_session, side="right"))
    bars = market.bars.rows(0, end)
    rows = training_rows(bars, tried.features, label=tried.label, horizon_sessions=tried.horizon_sessions)
    splitter = CombinatorialPurgedKFold(n_folds, n_test_folds, purge=rows.label_end_ns, embargo=embargo)
    paths = refitted_paths(
        _Refitted(tried), rows.matrix, rows.target, splitter=splitter, groups=rows.known_ns, workers=workers
    )
    paths.insert(0, LABEL, rows.target)
    paths.index = pd.MultiIndex.from_arrays(
        [np.array(market.sessions)[rows.bar], np.array(bars.symbols)[rows.column]],
        names=["session", "symbol"],
    )
    return paths


class _Refitted:
    """An experiment as scikit-learn's `clone` knows models; it forecasts as a session would."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The one parameter."""
        return {"experiment": self.experiment}

    def fit(self, matrix: Floats, target: Floats) -> _Refitted:
        """The model, fitted as a training fits it."""
        self.model_ = read_forecast_model(fit_file(self.experiment, matrix, target), self.experiment.names)
        return self

    def predict(self, matrix: Floats) -> Floats:
        """Its forecasts."""
        return self.model_.forecast(matrix)
