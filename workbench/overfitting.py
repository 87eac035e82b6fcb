"""Overfitting diagnostics: what is left of the best of many backtests.

Examples
--------
>>> import workbench as wb
>>> wb.overfitting.minimum_backtest_length(n_trials=1)
0.0
"""

from workbench.core.divergence import detectable_loss
from workbench.core.overfitting import (
    BacktestOverfitting,
    Estimate,
    FamilyVerdict,
    GateRule,
    SharpeMoments,
    SuperiorPredictiveAbility,
    TrialClusters,
    adjust_p_values,
    annualised_sharpe,
    autocorrelations,
    cluster_trials,
    deflate,
    deflated_sharpe_ratio,
    deflation_curve,
    expected_maximum,
    haircut_sharpe,
    judge_family,
    minimum_backtest_length,
    minimum_track_record_length,
    probabilistic_sharpe_ratio,
    probability_of_backtest_overfitting,
    selection_paths,
    sharpe_moments,
    stationary_bootstrap_index,
    superior_predictive_ability,
)
from workbench.core.variants import SIGNALS, StrategyVariants, strategy_variants

__all__ = [
    "SIGNALS",
    "BacktestOverfitting",
    "Estimate",
    "FamilyVerdict",
    "GateRule",
    "SharpeMoments",
    "StrategyVariants",
    "SuperiorPredictiveAbility",
    "TrialClusters",
    "adjust_p_values",
    "annualised_sharpe",
    "autocorrelations",
    "cluster_trials",
    "deflate",
    "deflated_sharpe_ratio",
    "deflation_curve",
    "detectable_loss",
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
    "strategy_variants",
    "superior_predictive_ability",
]
