"""Joint drift: whether rows as wholes come from another distribution, beyond what single features show.

Sources: A. Gretton et al., "A Kernel Two-Sample Test", JMLR 13, 2012 (maximum mean discrepancy); A. Rahimi
and B. Recht, "Random Features for Large-Scale Kernel Machines", NIPS 2007; D. Lopez-Paz and M. Oquab,
"Revisiting Classifier Two-Sample Tests", ICLR 2017.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.core.drift.blocks import Blocks, cut_blocks, deals, p_value
from workbench.core.drift.contrasts import encode_numbers
from workbench.core.drift.dependence import dependence_of
from workbench.core.drift.intake import as_table
from workbench.core.types import Floats, Integers
from workbench.errors import DataError

_FEATURES = 128
_MOST_ROWS = 20_000
_CLASSIFIER_DEALS = 99
_LEAST_BLOCKS = 8


@dataclass(frozen=True, slots=True)
class JointDrift:
    """Two looks at whole rows.

    Attributes
    ----------
    mmd : float
        Maximum mean discrepancy (not squared) of the normal scores under a Gaussian kernel.
    mmd_p_value : float
        By dealing blocks anew; neighbouring blocks are taken as independent, so ask for long ones.
    auc : float
        How well a classifier tells current rows from reference rows it was not trained on; 0.5 = not at all.
    auc_p_value : float
        By dealing blocks anew, 99 times.
    block_length : int
    """

    mmd: float
    mmd_p_value: float
    auc: float
    auc_p_value: float
    block_length: int

    def _repr_html_(self) -> str:
        return (
            f"<p>MMD {self.mmd:.4f} (p = {self.mmd_p_value:.3f}), domain classifier AUC {self.auc:.3f} "
            f"(p = {self.auc_p_value:.3f}), blocks of {self.block_length} rows</p>"
        )


def joint_drift(reference: Any, current: Any, *, seed: int, block_length: int | None = None) -> JointDrift:
    """Maximum mean discrepancy and a domain classifier between two tables of numeric features.

    Description beside `compare`, whose family decision already includes pairwise correlations: these two see
    any change of the joint distribution, and say less about which. Rows in order of time; of more than
    20,000 the latest are read. The classifier is a regularised linear discriminant on the scores, their
    squares and products, trained and judged on alternating blocks.

    Parameters
    ----------
    reference, current : DataFrame or array (rows, features)
        Numeric features of both tables; a row with a missing value is left out.
    seed : int
        Of the random kernel features.
    block_length : int or None, default None
        None = four integrated autocorrelation times of the most persistent feature.

    Raises
    ------
    DataError
        No common numeric feature, or fewer than 8 blocks on a side.

    Examples
    --------
    >>> import numpy as np
    >>> draw = np.random.default_rng(5)
    >>> alone, shared = draw.normal(size=(400, 2)), draw.normal(size=(400, 1))
    >>> found = joint_drift(alone, np.hstack([shared, shared]), seed=1)
    >>> found.mmd_p_value < 0.05, found.auc_p_value < 0.05
    (True, True)
    """
    before, after = _scores(reference, current)
    if block_length is None:
        longest = max(dependence_of(before[:, at], after[:, at]).time() for at in range(before.shape[1]))
        block_length = 1 if longest < 1.02 else math.ceil(4.0 * longest)
    blocks = cut_blocks(len(before), len(after), block_length)
    if min(len(blocks.reference), len(blocks.current)) < _LEAST_BLOCKS:
        raise DataError(
            f"blocks of {block_length} rows leave {len(blocks.current)} of them in the current table",
            next_step=f"give at least {_LEAST_BLOCKS} blocks of rows on either side",
        )
    mmd, mmd_p = _discrepancy(before, after, blocks, seed)
    auc, auc_p = _classified(before, after, blocks)
    return JointDrift(round(mmd, 9), mmd_p, round(auc, 9), auc_p, round(blocks.length))


def _scores(reference: Any, current: Any) -> tuple[Floats, Floats]:
    before, after = as_table(reference), as_table(current)
    names = [name for name in before.select_dtypes("number").columns if name in after.select_dtypes("number")]
    if not names:
        raise DataError(
            "the tables share no numeric feature", next_step="give numeric columns of equal names"
        )
    sides = [table[names].dropna().iloc[-_MOST_ROWS:] for table in (before, after)]
    if not len(sides[0]) or not len(sides[1]):
        raise DataError(
            "a table has no complete row", next_step="leave out features that are missing throughout"
        )
    encoded = [encode_numbers(*(side[name].to_numpy(dtype=np.float64) for side in sides)) for name in names]
    return (
        np.column_stack([one.scores[one.reference, 0] for one in encoded]),
        np.column_stack([one.scores[one.current, 0] for one in encoded]),
    )


def _discrepancy(before: Floats, after: Floats, blocks: Blocks, seed: int) -> tuple[float, float]:
    """The distance between mean kernel features, and its place among deals."""
    generator = np.random.default_rng(seed)
    width = before.shape[1]
    frequency = generator.standard_normal((width, _FEATURES)) / math.sqrt(width)
    phase = generator.uniform(0.0, 2.0 * math.pi, _FEATURES)
    mapped = [np.cos(side @ frequency + phase) * math.sqrt(2.0 / _FEATURES) for side in (before, after)]
    sums = np.vstack([
        np.add.reduceat(side, cut[:, 0], axis=0)
        for side, cut in zip(mapped, (blocks.reference, blocks.current), strict=True)
    ])  # fmt: skip
    cuts = np.vstack([blocks.reference, blocks.current])
    rows = (cuts[:, 1] - cuts[:, 0]).astype(np.float64)
    chosen = deals(len(blocks.reference), len(blocks.current))
    own = np.concatenate([np.zeros(len(blocks.reference)), np.ones(len(blocks.current))])
    selection = np.vstack([own, chosen])
    taken = (selection @ rows)[:, None]
    after_mean = selection @ sums / taken
    before_mean = (sums.sum(axis=0) - selection @ sums) / (rows.sum() - taken)
    distance = np.sqrt(((after_mean - before_mean) ** 2).sum(axis=1))
    return float(distance[0]), p_value(float(distance[0]), distance[1:], len(cuts) - 2)


def _classified(before: Floats, after: Floats, blocks: Blocks) -> tuple[float, float]:
    """Area under the curve on blocks that the classifier has not seen, and its place among deals."""
    rows = np.vstack([before, after])
    pairs = np.triu_indices(rows.shape[1])
    inputs = np.hstack([rows, rows[:, pairs[0]] * rows[:, pairs[1]]])
    count = len(blocks.reference) + len(blocks.current)
    cuts = np.vstack([blocks.reference, blocks.current + len(before)])
    block = np.repeat(np.arange(count), cuts[:, 1] - cuts[:, 0])
    place = np.concatenate([np.arange(start, end) for start, end in cuts])
    inputs = inputs[place]
    own = np.arange(count) >= len(blocks.reference)
    chosen = deals(len(blocks.reference), len(blocks.current))[:_CLASSIFIER_DEALS].astype(bool)
    areas = [_area(inputs, block, labels) for labels in (own, *chosen)]
    reached = sum(area >= areas[0] - 1e-12 for area in areas)
    return areas[0], reached / len(areas)


def _area(inputs: Floats, block: Integers, labels: Any) -> float:
    """Cross-validated area, blocks alternating between two folds within each label."""
    from sklearn.metrics import roc_auc_score

    fold = np.zeros(len(labels), dtype=np.int64)
    for label in (False, True):
        fold[labels == label] = np.arange(int((labels == label).sum())) % 2
    target, side = labels[block].astype(np.float64), fold[block]
    score = np.empty(len(target))
    for held_out in (0, 1):
        train = side != held_out
        # ridge on the label ranks rows as a linear discriminant does, in closed form
        centre = inputs[train].mean(axis=0)
        design = inputs[train] - centre
        weights = np.linalg.solve(
            design.T @ design + len(design) * 1e-2 * np.eye(design.shape[1]),
            design.T @ (target[train] - target[train].mean()),
        )
        score[side == held_out] = (inputs[side == held_out] - centre) @ weights
    return float(roc_auc_score(target, score))
