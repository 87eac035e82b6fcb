"""What is left of a backtest when all trials are counted: PBO, deflated Sharpe ratios, SPA, haircuts."""

from __future__ import annotations

from workbench.core.overfitting.clusters import TrialClusters, cluster_trials
from workbench.core.overfitting.cscv import BacktestOverfitting, probability_of_backtest_overfitting
from workbench.core.overfitting.estimate import Estimate
from workbench.core.overfitting.gate import FamilyVerdict, GateRule, deflate, judge_family
from workbench.core.overfitting.p_values import adjust_p_values, haircut_sharpe
from workbench.core.overfitting.paths import deflation_curve, selection_paths
from workbench.core.overfitting.sharpe import (
    SharpeMoments,
    annualised_sharpe,
    autocorrelations,
    deflated_sharpe_ratio,
    expected_maximum,
    minimum_backtest_length,
    minimum_track_record_length,
    probabilistic_sharpe_ratio,
    sharpe_moments,
)
from workbench.core.overfitting.superiority import (
    SuperiorPredictiveAbility,
    stationary_bootstrap_index,
    superior_predictive_ability,
)

__all__ = [
    "BacktestOverfitting",
    "Estimate",
    "FamilyVerdict",
    "GateRule",
    "SharpeMoments",
    "SuperiorPredictiveAbility",
    "TrialClusters",
    "adjust_p_values",
    "annualised_sharpe",
    "autocorrelations",
    "cluster_trials",
    "deflate",
    "deflated_sharpe_ratio",
    "deflation_curve",
    "expected_maximum",
    "haircut_sharpe",
    "judge_family",
    "minimum_backtest_length",
    "minimum_track_record_length",
    "probabilistic_sharpe_ratio",
    "probability_of_backtest_overfitting",
    "selection_paths",
    "sharpe_moments",
    "stationary_bootstrap_index",
    "superior_predictive_ability",
]
