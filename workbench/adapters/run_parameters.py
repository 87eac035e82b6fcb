"""The one file through which a runner speaks to its notebook, read strictly."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from workbench.core.canonical import sha256_of
from workbench.errors import ManifestMismatch, Refused


class TradingLoopParameters(BaseModel):
    """What the runner tells the trading notebook; nothing else, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    run_id: str = Field(min_length=1)
    job: str = Field(min_length=1)
    session: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    attempt: int = Field(ge=1)
    config_path: str
    desk_path: str = Field(min_length=1)
    overrides: dict[str, JsonValue]
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    code_hash: str = Field(pattern=r"^[0-9a-f]{64}$")


def read_parameters(
    path: Path, *, expected_hash: str | Callable[[TradingLoopParameters], str]
) -> TradingLoopParameters:
    """The run's parameters, proved to be those that the journal recorded.

    Parameters
    ----------
    path : Path
        `parameters.json` in the run's folder.
    expected_hash : str or callable
        Hash that the journal holds for this run. A callable receives the still unproved parameters,
        so that a notebook can find the journal by their `desk_path`, and returns that hash.

    Raises
    ------
    Refused
        Unreadable, not strict JSON, a key too many or missing, a value of another type, not finite.
    ManifestMismatch
        Well formed, but not what the journal recorded.
    """
    again = "start the job with `workbench jobs run`; its files are not edited by hand"
    try:
        values = json.loads(
            path.read_bytes(), parse_constant=_not_finite, parse_float=_finite, object_pairs_hook=_unique_keys
        )
        parameters = TradingLoopParameters.model_validate(values)
    except (OSError, ValidationError, ValueError, RecursionError) as error:
        raise Refused(
            f"parameters {path} cannot be used: {error}", next_step=again, path=str(path)
        ) from error
    expected = expected_hash if isinstance(expected_hash, str) else expected_hash(parameters)
    if sha256_of(values) != expected:
        raise ManifestMismatch(
            f"parameters {path} are not those recorded for run {parameters.run_id}",
            next_step=again,
            path=str(path),
        )
    return parameters


def _not_finite(text: str) -> float:
    raise ValueError(f"{text} is not a finite number")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _not_finite(text)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key is written twice")
    return values
