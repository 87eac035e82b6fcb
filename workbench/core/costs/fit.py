"""From records of own fills to a cost model: cleaned, robust against gross errors, pooled, with its doubt."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.costs.fitted import MAX_PARTICIPATION, FittedCost, Interval, SymbolCost
from workbench.core.costs.model import SOURCES, CostModel, instant_ns
from workbench.core.costs.regression import Regression, day_regression, gross_outliers
from workbench.core.fees import FeeSchedule
from workbench.core.types import DAY_NS, Booleans, Floats, Integers

if TYPE_CHECKING:
    import pandas as pd

#: The exponent stands at its prior until the records' 95 % interval is narrower than this.
EXPONENT_WIDTH = 0.4
_EXPONENTS = np.arange(0.10, 1.2001, 0.02)
_FACTS = ("quantity", "adv", "volatility_bps", "half_spread_bps", "cost_bps")
_DAYS = ("session", "day", "date", "filled_at", "at")
_MIN_DAYS = 10
#: Symbols differ where Cochran's test of equal levels rejects at this level.
_UNEQUAL = 0.01


def fit_cost_model(
    records: pd.DataFrame,
    *,
    as_of: object,
    min_fills: int,
    fees: FeeSchedule | None = None,
    source: str | None = None,
    exponent: float = 0.5,
    valid_days: int = 10,
) -> CostModel:
    """The cost model that own fills support, with intervals; too few fills give one that says "missing".

    Parameters
    ----------
    records : DataFrame
        One row a fill (or parent order) with the columns symbol, quantity (shares), adv (mean daily
        volume), volatility_bps (daily) and half_spread_bps, both as known at the decision; cost_bps
        (trading + fees against the arrival mid, bps, a cost is positive: side x (price - mid) / mid);
        a day as `session` (ISO date) or `filled_at` (time with a zone). Optional: fee_bps, the part of
        cost_bps that is fees (without it fees stay inside the estimates and none are added); price;
        execution_id, which may occur once; source.
    as_of : int or datetime
        Date of the model, UTC nanoseconds or a time with a zone. Later records are excluded.
    min_fills : int
        Fewer usable records, or fewer than 10 days of them, and the model's status is "missing".
    fees : FeeSchedule, optional
        Added to predictions where records name their fees; the present schedule when not given.
    source : {"simulated", "paper", "live"}, optional
        Provenance of the records when they have no column `source`. Records that name none at all
        count as simulated, the source that permits least.
    exponent : float, default 0.5
        The stated prior of b; used until the records identify it.
    valid_days : int, default 10
        Calendar days until the model is stale.

    Returns
    -------
    CostModel
        Cost = spread multiple x half spread + a x volatility x participation^b + level of the symbol.
        Its manifest has window, counts, exclusions by reason, intervals, condition number, bounds.

    Raises
    ------
    ValueError
        A column is missing, provenances are mixed or unknown, or an argument is absurd.

    Notes
    -----
    The conditional mean by generalised least squares with day-common shocks, errors clustered by day.
    Intervals hold given the exponent while it stands at its prior; the manifest says so (`identified`).

    Examples
    --------
    >>> import pandas as pd
    >>> days = pd.bdate_range("2026-01-05", periods=20).strftime("%Y-%m-%d")
    >>> records = pd.DataFrame({"session": days, "symbol": "KO", "quantity": [100, 400] * 10, "adv": 1e6,
    ...     "volatility_bps": 150.0, "half_spread_bps": 2.0, "cost_bps": [3.5, 5.0] * 10})
    >>> model = fit_cost_model(records, as_of="2026-02-02", min_fills=20)
    >>> facts = {"adv": 1e6, "volatility_bps": 150.0, "half_spread_bps": 2.0}
    >>> model.source, model.expected_bps("KO", "buy", 400, **facts).mean
    ('simulated', 5.0)
    """
    as_of_ns = instant_ns(as_of)
    if isinstance(min_fills, bool) or min_fills < 1:
        raise ValueError(f"min_fills = {min_fills!r} must be at least 1")
    if not 0.1 <= exponent <= 1.2:
        raise ValueError(f"exponent = {exponent!r} must lie between 0.1 and 1.2")
    if not 1 <= valid_days <= 366:
        raise ValueError(f"valid_days = {valid_days!r} must lie between 1 and 366")
    provenance = _provenance(records, source)
    columns, excluded = _usable(records, as_of_ns)
    fitted = _fitted(columns, excluded, min_fills, exponent)
    schedule = FeeSchedule() if fees is None else fees
    return CostModel(provenance, fitted, schedule, as_of_ns, as_of_ns + valid_days * DAY_NS)


def _provenance(records: pd.DataFrame, source: str | None) -> str:
    named = sorted({str(name) for name in records["source"]}) if "source" in records.columns else []
    if source is not None:
        named = sorted({*named, source})
    if len(named) > 1:
        raise ValueError(f"records of {', '.join(named)} never calibrate one model; fit each by itself")
    found = named[0] if named else "simulated"
    if found not in SOURCES:
        raise ValueError(f"source must be one of {', '.join(SOURCES)}, not {found!r}")
    return found


def _usable(records: pd.DataFrame, as_of_ns: int) -> tuple[dict[str, Any], dict[str, int]]:
    """Columns of the records that can be used, and the counts of the others by the first reason."""
    import pandas as pd

    missing = [name for name in ("symbol", *_FACTS) if name not in records.columns]
    when = next((name for name in _DAYS if name in records.columns), None)
    if missing or when is None:
        wanted = [*missing, *([] if when else ["session (or filled_at)"])]
        raise ValueError(f"records have no column {', '.join(wanted)}")
    numbers = {name: pd.to_numeric(records[name], errors="coerce").to_numpy(np.float64) for name in _FACTS}
    has_fees = "fee_bps" in records.columns
    optional = {"fee_bps": 0.0, "price": 0.0}
    for name, value in optional.items():
        held = records[name] if name in records.columns else pd.Series(value, index=records.index)
        numbers[name] = pd.to_numeric(held, errors="coerce").to_numpy(np.float64)
    times = _times_ns(records[when])
    rules: list[tuple[str, Booleans]] = [
        ("missing_value", ~np.all([np.isfinite(numbers[name]) for name in (*_FACTS, "fee_bps")], axis=0)),
        ("no_day", times == np.iinfo(np.int64).min),
        ("no_symbol", records["symbol"].isna().to_numpy()),
        ("quantity_not_positive", ~(numbers["quantity"] > 0)),
        ("no_volume", ~(numbers["adv"] > 0)),
        ("negative_volatility", ~(numbers["volatility_bps"] >= 0)),
        ("negative_spread", ~(numbers["half_spread_bps"] >= 0)),
        ("more_than_the_volume", ~(numbers["quantity"] <= numbers["adv"])),
        ("after_as_of", times >= as_of_ns),
    ]
    if "execution_id" in records.columns:
        held = records["execution_id"]
        rules.append(("duplicate", (held.duplicated() & held.notna()).to_numpy()))
    kept = np.ones(len(records), dtype=np.bool_)
    excluded: dict[str, int] = {}
    for reason, found in rules:
        if count := int(np.sum(kept & found)):
            excluded[reason] = count
        kept &= ~found
    columns: dict[str, Any] = {name: values[kept] for name, values in numbers.items()}
    columns["symbol"] = records["symbol"].to_numpy(dtype=object)[kept].astype(str).astype(object)
    columns["at_ns"] = times[kept]
    columns["has_fees"] = has_fees
    return columns, excluded


def _times_ns(column: pd.Series[Any]) -> Integers:
    """UTC nanoseconds of a column of times or ISO dates; the smallest integer where there is none."""
    import pandas as pd

    if pd.api.types.is_integer_dtype(column.dtype):
        return column.to_numpy(np.int64)
    stamps = pd.to_datetime(column, errors="coerce", utc=True).dt.as_unit("ns")
    return np.asarray(stamps.astype("int64").to_numpy())


def _fitted(columns: dict[str, Any], excluded: dict[str, int], min_fills: int, exponent: float) -> FittedCost:
    """The estimates; without enough records all of them stand at 0 and `enough` is False."""
    share = columns["quantity"] / columns["adv"]
    target = columns["cost_bps"] - columns["fee_bps"]
    slope = columns["volatility_bps"] * share**exponent
    design, free = _full_rank(np.stack([columns["half_spread_bps"], slope], axis=1), target)
    gross = gross_outliers(design, target - _fixed(columns, free)) if len(target) > 2 else np.zeros(0, bool)
    if len(gross) and gross.any():
        excluded = {**excluded, "gross_outlier": int(gross.sum())}
        columns = {name: v[~gross] if isinstance(v, np.ndarray) else v for name, v in columns.items()}
        share, target, design = share[~gross], target[~gross], design[~gross]
    day, days = _numbers(columns["at_ns"] // DAY_NS)
    enough = len(target) >= min_fills and days >= _MIN_DAYS and len(target) > 3 * design.shape[1]
    if not enough:
        return _describe(columns, excluded, _nothing(exponent), min_fills, enough=False)
    linear = day_regression(design, target - _fixed(columns, free), day)
    return _describe(
        columns, excluded, _estimates(columns, linear, free, share, target, day, exponent), min_fills,
        enough=True,
    )  # fmt: skip


def _full_rank(design: Floats, target: Floats) -> tuple[Floats, Booleans]:
    """The design without columns that hold nothing, and which are kept."""
    size = np.sqrt(np.mean(design**2, axis=0)) if len(design) else np.zeros(2)
    free = size > 1e-9
    if free.all():
        cosine = float(np.mean(design[:, 0] * design[:, 1]) / (size[0] * size[1]))
        if cosine > 1.0 - 1e-12:  # spread and size never vary apart: the impact cannot be told
            free = np.array([True, False])
    return design[:, free], free


def _fixed(columns: dict[str, Any], free: Booleans) -> Floats:
    """Cost in bps of the parameters that cannot be estimated: one half spread, no impact."""
    return np.zeros(len(columns["adv"])) if free[0] else np.asarray(columns["half_spread_bps"])


def _estimates(
    columns: dict[str, Any], linear: Regression, free: Booleans, share: Floats, target: Floats,
    day: Integers, exponent: float,
) -> dict[str, Any]:  # fmt: skip
    coefficients, covariance = np.array([1.0, 0.0, exponent]), np.zeros((3, 3))
    where = np.flatnonzero(free)
    coefficients[where] = linear.coefficients
    covariance[np.ix_(where, where)] = linear.covariance
    width, condition, residual, chosen = None, None, linear.residual, linear
    if free.all():
        width, condition = _exponent_width(columns, share, target, day, linear.coefficients[1], exponent)
        if width is not None and width < EXPONENT_WIDTH:
            curved = _curved(columns, share, target, day)
            if curved is not None and curved.coefficients[1] > 0.0:
                coefficients, covariance = curved.coefficients, curved.covariance
                residual, chosen = curved.residual, curved
    return {
        "coefficients": coefficients, "covariance": covariance, "width": width, "condition": condition,
        "residual": residual, "regression": chosen, "identified": chosen is not linear,
    }  # fmt: skip


def _exponent_width(
    columns: dict[str, Any], share: Floats, target: Floats, day: Integers, coefficient: float, exponent: float
) -> tuple[float | None, float | None]:
    """Width of the exponent's 95 % interval at its prior, and the condition of the three scaled columns.

    At the prior, not at the estimate: a low estimate looks precise, and to believe the exponent only
    then would choose the samples in which it is wrong.
    """
    slope = columns["volatility_bps"] * share**exponent
    bend = coefficient * slope * np.log(share)
    design = np.stack([columns["half_spread_bps"], slope, bend], axis=1)
    scaled = design / np.sqrt(np.sum(design**2, axis=0) + 1e-300)
    values = np.linalg.svd(scaled, compute_uv=False)
    if not values[-1] > 1e-9:
        return None, None
    variance = day_regression(design, target, day).covariance[2, 2]
    days = int(day.max()) + 1
    return 2.0 * _quantile(0.975, days) * math.sqrt(max(variance, 0.0)), float(values[0] / values[-1])


def _curved(columns: dict[str, Any], share: Floats, target: Floats, day: Integers) -> Regression | None:
    """Spread multiple, impact coefficient and exponent together; None without an optimum inside."""
    spread, volatility = columns["half_spread_bps"], columns["volatility_bps"]
    best, at, solution = math.inf, 0.0, np.zeros(2)
    for candidate in _EXPONENTS:
        design = np.stack([spread, volatility * share**candidate], axis=1)
        found = np.linalg.solve(design.T @ design, design.T @ target)
        loss = float(np.sum((target - design @ found) ** 2))
        if loss < best:
            best, at, solution = loss, float(candidate), found
    if not _EXPONENTS[0] < at < _EXPONENTS[-1]:
        return None
    slope = volatility * share**at
    bend = solution[1] * slope * np.log(share)  # one step of Gauss and Newton from the best of the grid
    return day_regression(np.stack([spread, slope, bend], axis=1), target + bend * at, day)


def _nothing(exponent: float) -> dict[str, Any]:
    return {
        "coefficients": np.array([0.0, 0.0, exponent]), "covariance": np.zeros((3, 3)), "width": None,
        "condition": None, "residual": None, "regression": None, "identified": False,
    }  # fmt: skip


def _describe(
    columns: dict[str, Any], excluded: dict[str, int], found: dict[str, Any], min_fills: int, *, enough: bool
) -> FittedCost:
    regression: Regression | None = found["regression"]
    days = len(np.unique(columns["at_ns"] // DAY_NS))
    spread, symbols, universe = _symbols(columns, found["residual"], regression)
    reach = _quantile(0.95, days) * np.sqrt(np.maximum(np.diag(found["covariance"]), 0.0))
    parts = [
        Interval(_grid(value), _grid(value - by), _grid(value + by))
        for value, by in zip(found["coefficients"], reach, strict=True)
    ]
    low, high = np.quantile(columns["volatility_bps"], [0.05, 0.95]) if days else (0.0, 0.0)
    share = columns["quantity"] / columns["adv"]
    return FittedCost(
        spread_multiple=parts[0],
        impact_coefficient=parts[1],
        exponent=parts[2],
        identified=bool(found["identified"]),
        exponent_width=None if found["width"] is None else _grid(found["width"]),
        covariance=tuple(tuple(_digits(v) for v in row) for row in found["covariance"]),
        days=days,
        fills=len(share),
        symbol_count=len(symbols),
        noise_bps=_grid(math.sqrt(regression.noise_variance)) if regression else 0.0,
        day_noise_bps=_grid(math.sqrt(regression.day_variance)) if regression else 0.0,
        symbol_spread_bps=_grid(spread),
        condition_number=None if found["condition"] is None else _digits(found["condition"]),
        window_start_ns=int(columns["at_ns"].min()) if days else 0,
        window_end_ns=int(columns["at_ns"].max()) if days else 0,
        excluded=dict(sorted(excluded.items())),
        max_participation=MAX_PARTICIPATION,
        observed_participation=_digits(float(share.max())) if days else 0.0,
        volatility_low_bps=_grid(float(low)),
        volatility_high_bps=_grid(float(high)),
        adds_fees=bool(columns["has_fees"]),
        enough=enough,
        min_fills=int(min_fills),
        records_hash=_hash_of(columns),
        universe=universe,
        symbols=symbols,
    )


def _symbols(
    columns: dict[str, Any], residual: Floats | None, regression: Regression | None
) -> tuple[float, tuple[SymbolCost, ...], SymbolCost]:
    """Standard deviation between symbols, each symbol's shrunk level, and the universe's medians.

    Levels by the moments of DerSimonian and Laird (1986), where Cochran's test finds any difference.
    """
    from scipy.special import chdtri

    names, group = np.unique(columns["symbol"], return_inverse=True)
    count = np.bincount(group, minlength=len(names)).astype(np.float64)
    between, level, variance = 0.0, np.zeros(len(names)), np.zeros(len(names))
    if residual is not None and regression is not None and len(names) > 1:
        mean = np.bincount(group, residual, minlength=len(names)) / count
        precision = count / max(regression.noise_variance, 1e-12)
        centre = float(np.sum(precision * mean) / np.sum(precision))
        unequal = float(np.sum(precision * (mean - centre) ** 2))
        if unequal > float(chdtri(len(names) - 1, _UNEQUAL)):
            scale = float(np.sum(precision) - np.sum(precision**2) / np.sum(precision))
            between = max((unequal - (len(names) - 1)) / scale, 0.0)
            pull = between / (between + 1.0 / precision)
            level, variance = pull * (mean - centre), between * (1.0 - pull)
    medians = _medians(columns, group, len(names))
    symbols = tuple(
        SymbolCost(
            str(name), int(count[at]), _grid(level[at]), _digits(variance[at]),
            *(_digits(medians[at, column]) for column in range(4)),
        )
        for at, name in enumerate(names)
    )  # fmt: skip
    middle = _medians(columns, np.zeros(len(group), dtype=np.int64), 1)[0]
    universe = SymbolCost("", len(group), 0.0, _digits(between), *(_digits(value) for value in middle))
    return math.sqrt(between), symbols, universe


def _medians(columns: dict[str, Any], group: Integers, groups: int) -> Floats:
    """Median daily volume, volatility, half spread and price of each group, float64 (groups, 4)."""
    out = np.zeros((groups, 4))
    if len(group):
        order = np.argsort(group, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
        for column, name in enumerate(("adv", "volatility_bps", "half_spread_bps", "price")):
            values = np.nan_to_num(columns[name], nan=0.0, posinf=0.0, neginf=0.0)
            out[:, column] = [np.median(values[part]) for part in parts]
    return out


def _numbers(values: Integers) -> tuple[Integers, int]:
    """Each value's number among the distinct ones, and how many there are."""
    distinct, number = np.unique(values, return_inverse=True)
    return number.astype(np.int64), len(distinct)


def _quantile(probability: float, days: int) -> float:
    """Of Student's law with one degree of freedom less than there are days."""
    from scipy.special import stdtrit

    return float(stdtrit(max(days - 1, 1), probability))


def _hash_of(columns: dict[str, Any]) -> str:
    """Hex sha256 of the records used."""
    sha = hashlib.sha256()
    for name, values in sorted(columns.items()):
        if isinstance(values, np.ndarray):
            sha.update(f"{name}:{len(values)};".encode())
            sha.update("\0".join(values).encode() if values.dtype == object else values.tobytes())
    return sha.hexdigest()


def _grid(value: float) -> float:
    """On the grid of a millionth, so that equal records give equal bytes."""
    return round(float(value), 6) + 0.0


def _digits(value: float) -> float:
    """Nine significant digits."""
    return float(f"{float(value):.9g}") + 0.0
