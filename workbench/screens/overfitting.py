"""The page of overfitting: the desk's candidates, and what is left of the best of many tried variants."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import param

from workbench.core.overfitting import (
    BacktestOverfitting,
    FamilyVerdict,
    deflation_curve,
    judge_family,
    probability_of_backtest_overfitting,
    selection_paths,
)
from workbench.core.validation import CombinatorialPurgedKFold
from workbench.core.variants import strategy_variants
from workbench.screens.questions import Source
from workbench.screens.release import ReleaseCommands, gate_table
from workbench.screens.screen import Screen
from workbench.screens.work import Tell, Work

#: The family of the page, as in notebook 4.
LOOKBACKS, HOLDS, TOPS = (5, 10, 20, 40, 60, 120, 250), (1, 5, 21), (2, 4, 7)
_MONTH = 21
_YEAR = 252
_SEED = 1
#: Why no result on the sample can be promoted, whatever the statistics say.
PROVENANCE = (
    "the sample holds companies that were large and survived",
    "the sample has no volume, so nobody can say what could have been traded",
)
_CANDIDATES = (
    "model_id", "stage", "estimator", "label", "folds", "ic", "hit_rate", "gross_bps", "net_bps",
    "excess_bps", "turnover", "horizon_sessions", "train_first_session", "train_last_session",
    "train_rows", "provenance",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Study:
    """A family of strategy variants, judged.

    Attributes
    ----------
    facts : dict
        Labelled values of the verdict.
    passed : bool
        Of the statistics; provenance speaks against promotion all the same.
    reasons : DataFrame
        One row a reason against the best variant: reason, source.
    best : DataFrame
        The best variants by Sharpe ratio in excess of the benchmark.
    found : BacktestOverfitting
    paths : DataFrame (rows, paths)
    deflation : DataFrame
    surface : DataFrame
        Sharpe ratios of the best variant's neighbours: lookbacks by holding periods.
    """

    facts: dict[str, object]
    passed: bool
    reasons: pd.DataFrame
    best: pd.DataFrame
    found: BacktestOverfitting
    paths: pd.DataFrame
    deflation: pd.DataFrame
    surface: pd.DataFrame


class OverfittingScreen(Screen):
    """Registered candidates with their scores out of sample, and a judged family of sample strategies.

    Parameters
    ----------
    candidates : callable () -> list of dict
        The experiment table of `workbench candidates`.
    closes : callable () -> DataFrame
        Closes of the committed sample, sessions by symbols.
    commands : ReleaseCommands
    """

    candidates = param.Parameter(None, doc="DataFrame: one row a registered model, as it was registered.")
    gates = param.Parameter(None, doc="DataFrame: one row a gate of every model that was judged.")
    models: tuple[str, ...] = ()  #: ids in full, the newest first

    def __init__(
        self,
        desk: Any,
        *,
        candidates: Callable[[], list[dict[str, Any]]],
        closes: Callable[[], pd.DataFrame],
        mark: Callable[[], Hashable],
        commands: ReleaseCommands,
        **params: Any,
    ) -> None:
        self.work = Work()
        super().__init__(desk, mark=lambda: (mark(), self.work.version), **params)
        self._table, self._closes = candidates, closes
        self._models: object = None
        self.commands = commands

    def renew(self) -> None:
        """Forget which models the former journal knew; the family is judged on the sample, which stays."""
        self._models = None

    def read(self) -> None:
        """The registered models, when one has been added or promoted."""
        rows = self.desk.journal.rows("models")
        known = [row["seq"] for row in (*rows, *self.desk.journal.rows("releases"))]
        if known != self._models:
            table = pd.DataFrame(self._table(), columns=list(_CANDIDATES))
            self.candidates = table.assign(model_id=table["model_id"].astype(str).str[:12])
            self.models = tuple(str(row["model_id"]) for row in reversed(rows))
            self.gates = gate_table(self.desk.journal.rows("releases"))
            self.sources = overfitting_sources({model[:12]: model for model in self.models})
            self._models = known

    def answer(self, cost_bps: float) -> Study | None:
        """The judged family at a cost of one side in bps, None while nobody has asked for it."""
        found: Study | None = self.work.answer(cost_bps)
        return found

    def ask(self, cost_bps: float) -> None:
        """Begin to judge the family, unless that is done or running."""
        if self.answer(cost_bps) is None:
            self.work.start(cost_bps, lambda tell: self._judge(cost_bps, tell))

    def advice(self, found: Study | None) -> str:
        """What to do next, for a reader who does not see a verdict."""
        if found is not None:
            return ""
        return (
            "Press Judge: 252 strategy variants on the committed sample (20 large companies, 1990 to 2022); "
            "it takes about a quarter of a minute."
        )

    def _judge(self, cost_bps: float, tell: Tell) -> Study:
        tell("reading the sample")
        closes = self._closes()
        tell("1 of 5: trying 252 variants")
        family = strategy_variants(closes, cost_bps=cost_bps, lookbacks=LOOKBACKS, holds=HOLDS, tops=TOPS)
        excess = family.returns.sub(family.benchmark, axis=0)
        sharpe = excess.mean() / excess.std()
        best = str(sharpe.idxmax())
        tell("2 of 5: choosing on halves of the history, judging on the others")
        found = probability_of_backtest_overfitting(excess)
        tell("3 of 5: nine histories out of sample")
        folds = CombinatorialPurgedKFold(10, 2, purge=_MONTH, embargo=_MONTH)
        paths = selection_paths(excess, folds)
        tell("4 of 5: the gate")
        verdict = judge_family(
            family.returns, family.benchmark, candidate=best, mean_block=_MONTH, seed=_SEED
        )
        tell("5 of 5: the price of every trial")
        others = sharpe.iloc[verdict.clusters.representatives].drop(best, errors="ignore")
        trials = sorted({1, 2, 5, 10, verdict.clusters.n_clusters, 30, 100, len(sharpe)})
        deflation = deflation_curve(excess[best], n_trials=trials, trial_sharpe_variance=float(others.var()))
        table = family.parameters.assign(annual_sharpe_of_excess=sharpe * np.sqrt(_YEAR))
        chosen = table.loc[best]
        near = table[(table["signal"] == chosen["signal"]) & (table["top"] == chosen["top"])]
        surface = near.pivot(index="lookback", columns="hold", values="annual_sharpe_of_excess")
        table = table.sort_values("annual_sharpe_of_excess", ascending=False).head(12)
        return Study(
            facts=_facts(verdict, found, best, cost_bps),
            passed=verdict.passed,
            reasons=pd.DataFrame(
                [(reason, "statistics") for reason in verdict.reasons]
                + [(reason, "provenance") for reason in PROVENANCE],
                columns=["reason", "source"],
            ),
            best=table.rename_axis("variant").reset_index(),
            found=found,
            paths=paths,
            deflation=deflation,
            surface=surface,
        )


def _facts(
    verdict: FamilyVerdict, found: BacktestOverfitting, best: str, cost_bps: float
) -> dict[str, object]:
    rule = verdict.rule
    representatives = verdict.overfitting
    pbo = representatives.pbo if verdict.pbo_identified and representatives is not None else None
    return {
        "Best variant": best,
        "Trials": verdict.n_trials,
        "Different ideas among them (clusters)": verdict.clusters.n_clusters,
        "Sessions": verdict.n_obs,
        "Cost of one side, bps": float(cost_bps),
        f"Deflated Sharpe ratio (at least {rule.least_deflated:g})": f"{float(verdict.deflated):.4f}",
        f"SPA p-value (at most {rule.most_spa_pvalue:g})": f"{verdict.superiority.pvalues['consistent']:.4f}",
        "PBO over all variants": f"{found.pbo:.4f}",
        f"PBO over clusters (at most {rule.most_pbo:g})": "not identified" if pbo is None else f"{pbo:.4f}",
        f"Clusters alike, p-value (from {rule.least_alike:g} on the loss decides)": (
            "not identified" if pbo is None else f"{verdict.alike:.4f}"
        ),
        "Probability of loss out of sample": f"{found.probability_of_loss:.4f}",
    }


def overfitting_sources(models: Mapping[str, str]) -> dict[str, Source]:
    """What the numbers and tables of the page are made of; `models` are short ids -> ids."""
    judged = Source(
        "Computed anew from the closes of the committed sample when somebody presses Judge; nothing of it is "
        "recorded, because nobody may trade it.", "",
        line="wb.overfitting.probability_of_backtest_overfitting(excess)  # notebook 4 has it step by step",
    )  # fmt: skip
    return {
        "candidates": Source("The model's manifest, as it was registered: its scores are those of its folds.",
                             "models", key="model_id", full=models),
        "gates": Source("The judgement with the numbers of every gate.", "releases", key="model_id",
                        full=models),
        "judged": judged,
        "best": judged,
    }  # fmt: skip
