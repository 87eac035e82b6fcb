"""Forecasts of a linear model: one arithmetic for research, training and the trading session."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.core.types import MICRO, Floats


@dataclass(frozen=True, eq=False)
class ForecastModel:
    """Standardised features times coefficients: the expected return over the label's horizon.

    Attributes
    ----------
    features : tuple of str (features,)
        Names in column order.
    center, scale, coefficients : float64 (features,)
        ``(x - center) / scale`` is weighted by `coefficients`.
    intercept : float
        Expected return of an average row, as a fraction.
    """

    features: tuple[str, ...]
    center: Floats
    scale: Floats
    coefficients: Floats
    intercept: float

    def __post_init__(self) -> None:
        for name in ("center", "scale", "coefficients"):
            values = getattr(self, name)
            if values.shape != (len(self.features),) or values.dtype != np.float64:
                raise ValueError(f"{name} must be float64 of shape ({len(self.features)},)")
            if not np.all(np.isfinite(values)):
                raise ValueError(f"{name} has a value that is not finite")
        if not np.all(self.scale > 0):
            raise ValueError("scale must be positive")
        if not np.isfinite(self.intercept):
            raise ValueError("intercept is not finite")

    def forecast(self, matrix: Floats) -> Floats:
        """Expected return of each row as a fraction on the grid of 1e-6; NaN where a feature is missing.

        A row's forecast depends on that row alone, to the last bit, however many rows there are.

        Parameters
        ----------
        matrix : float64 (rows, features)
            Feature values; a NaN or an infinity anywhere in a row makes its forecast NaN.

        Returns
        -------
        float64 (rows,)

        Raises
        ------
        ValueError
            The number of columns is not the number of features.
        """
        if matrix.ndim != 2 or matrix.shape[1] != len(self.features):
            raise ValueError(f"matrix has shape {matrix.shape}, expected (rows, {len(self.features)})")
        total = np.full(len(matrix), self.intercept)
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is missing
            # column by column: a matrix product may add in another order for another number of rows
            for column, values in enumerate(matrix.T):
                total += (values - self.center[column]) / self.scale[column] * self.coefficients[column]
            forecast: Floats = np.round(total * MICRO) / MICRO + 0.0  # + 0.0: no negative zero
        forecast[~np.isfinite(forecast)] = np.nan
        return forecast
