"""What a model forecasts on every path of combinatorial cross-validation, fitted anew for each split."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from workbench.core.types import Floats, Integers
from workbench.core.validation.splitters import CombinatorialPurgedKFold
from workbench.core.workers import HERE, Workers


def refitted_paths(
    model: Any, X: Any, y: Any, *, splitter: CombinatorialPurgedKFold, groups: Any = None,
    workers: Workers = HERE,
) -> pd.DataFrame:  # fmt: skip
    """Forecasts out of sample of a model that every split fits anew, one column a path.

    Each split fits a fresh copy on its own purged training rows and forecasts its test rows; no model sees a
    row that it forecasts, nor a label that ends inside of what it forecasts. A path holds one forecast for
    every row, put together from as many models as there are folds.

    Parameters
    ----------
    model : scikit-learn estimator or pipeline
        Not fitted, and left so. With a seed of its own where it draws numbers: what is drawn without one is
        not the same twice.
    X : array or DataFrame (rows, features)
        In order of time.
    y : array or Series (rows,)
        Label of each row.
    splitter : CombinatorialPurgedKFold
    groups : array (rows,) or None, default None
        As `split` takes it.
    workers : Workers, default here
        Where splits are worked on, such as `desk.workers`; the result is the same, to the last digit where
        the model computes in as many threads there as here (a desk's own estimators compute in one).

    Returns
    -------
    DataFrame (rows, paths)
        Indexed as X, or by row number.

    Raises
    ------
    ValueError
        Lengths that differ, a model without `predict`, or one that forecasts something else than one finite
        number a row.

    Notes
    -----
    Source: M. López de Prado, "Advances in Financial Machine Learning", Wiley 2018, section 12.4.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> import workbench as wb
    >>> draw = np.random.default_rng(1)
    >>> X = draw.normal(size=(60, 2))
    >>> folds = wb.validation.CombinatorialPurgedKFold(6, 2, purge=1, embargo=1)
    >>> wb.validation.refitted_paths(Ridge(), X, X[:, 0], splitter=folds).shape
    (60, 5)
    """
    if not (hasattr(model, "fit") and hasattr(model, "predict")):
        raise ValueError(f"{type(model).__name__} has no fit and predict: give an estimator or a pipeline")
    target = np.asarray(y)
    if target.shape != (len(X),):
        raise ValueError(f"{len(X)} rows and labels of shape {target.shape}")
    splits = list(splitter.split(X, target, groups))
    made = list(workers.map(_forecasts, splits, shared=(model, X, target)))
    paths = splitter.reassemble(X, made, groups)
    columns = pd.RangeIndex(1, len(paths) + 1, name="path")
    return pd.DataFrame(paths.T, index=getattr(X, "index", None), columns=columns)


def _forecasts(model: Any, X: Any, target: Any, split: tuple[Integers, Integers]) -> Floats:
    """Forecasts of the test rows by a fresh copy that saw the training rows alone."""
    from sklearn.base import clone

    train, test = split
    fitted = clone(model).fit(_rows(X, train), target[train])
    found = np.asarray(fitted.predict(_rows(X, test)), dtype=np.float64)
    if found.shape != test.shape or not np.isfinite(found).all():
        raise ValueError(f"{type(model).__name__} must forecast one finite number a row, not {found.shape}")
    return found


def _rows(X: Any, at: Integers) -> Any:
    return X.iloc[at] if hasattr(X, "iloc") else np.asarray(X)[at]
