"""What a model was made from, and the reasons why it may not be used here and now.

A manifest travels with every model file. Nothing in it comes from a clock or a path: the same training
gives the same manifest in every process, and what it claims is recomputed whenever the model is loaded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from workbench.errors import ManifestMismatch

REAL = "real"
SYNTHETIC = "synthetic"

#: The label that the policy trades on: a return over the horizon. No other model may be accepted.
TRADED_LABEL = "forward_return"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_OPTIONAL = frozenset({"parameters", "partition_hash", "input_bounds", "author"})
#: How far the inputs of a model may drift before it opens no more risk: each a change of an input that has
#: drifted, of its mean and variance in normal scores and of its share of missing values.
INPUT_BOUNDS = ("shift_sd", "spread", "missing")


@dataclass(frozen=True, kw_only=True)
class ModelManifest:
    """Everything that a model depends on; values that cannot be true are refused when it is made.

    Attributes
    ----------
    kind : str
        What the file holds, such as "standard_scaler+ridge".
    features : tuple of str
        Feature names in column order.
    features_hash, config_hash, code_hash, content_sha256, bars_fingerprint : str
        Hex sha256 of the feature definitions, the configuration, the package, the model file and the
        bars that it was trained on.
    universe : tuple of str
        Sorted symbols whose rows were pooled.
    horizon_sessions : int
        Exchange sessions between a forecast and the end of its label.
    provenance : {"real", "synthetic"}
        Where the bars come from; a model of synthetic bars can never be accepted.
    train_first_session, train_last_session : str
        ISO dates of the first and the last session whose bars were *seen*, labels included.
    train_rows : int
        Pooled rows of the final fit.
    label : str
        Name of the label.
    seed : int
    as_of_ns : int
        Time at which the training data were known, UTC nanoseconds; never the wall clock.
    library_versions : mapping of str to str
    metrics : mapping of str to float
        Out-of-sample results; NaN and infinity are refused.
    parameters : mapping of str to float, default empty
        What label, estimator and evaluation were set to. Manifests from before it was recorded lack it,
        and an empty one is left out, so that they read and hash as they did.
    partition_hash : str, default ""
        Hex sha256 of the rows that trained and tested each walk-forward block. Left out when empty, as
        `parameters` is.
    input_bounds : mapping of str to float, default empty
        How far inputs may drift while the model opens risk: all of `INPUT_BOUNDS`, or none in a manifest
        from before they were recorded.
    author : str, default ""
        Who trained it. Left out when nobody says; then no stage that takes two people accepts it.
    """

    kind: str
    features: tuple[str, ...]
    features_hash: str
    universe: tuple[str, ...]
    horizon_sessions: int
    bars_fingerprint: str
    provenance: str
    train_first_session: str
    train_last_session: str
    train_rows: int
    label: str
    seed: int
    as_of_ns: int
    config_hash: str
    code_hash: str
    library_versions: Mapping[str, str]
    content_sha256: str
    metrics: Mapping[str, float]
    parameters: Mapping[str, float] = field(default_factory=dict)
    partition_hash: str = ""
    input_bounds: Mapping[str, float] = field(default_factory=dict)
    author: str = ""

    def __post_init__(self) -> None:
        problems = [*_wrong_names(self), *_wrong_numbers(self), *_wrong_dates(self), *_wrong_mappings(self)]
        if problems:
            raise ValueError("model manifest: " + "; ".join(problems))

    def to_dict(self) -> dict[str, Any]:
        """The manifest as plain lists, dicts, strings and numbers, ready for canonical JSON."""
        plain: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, tuple):
                value = list(value)
            elif isinstance(value, Mapping):
                value = dict(value)
            if each.name not in _OPTIONAL or value:
                plain[each.name] = value
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> ModelManifest:
        """The manifest that `to_dict` made.

        Raises
        ------
        ManifestMismatch
            A key is missing or unknown, or a value cannot be true.
        """
        known = {each.name for each in fields(cls)}
        wrong = [f"unknown key {key!r}" for key in sorted(set(plain) - known)]
        wrong += [f"missing key {key!r}" for key in sorted(known - _OPTIONAL - set(plain))]
        if wrong:
            raise _unusable("; ".join(wrong))
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()
        }
        try:
            return cls(**values)
        except ValueError as error:
            raise _unusable(str(error)) from error


def acceptable(
    manifest: ModelManifest,
    *,
    features_hash: str,
    config_hash: str,
    universe: Sequence[str],
    horizon_sessions: int,
    content_sha256: str,
) -> tuple[str, ...]:
    """Reasons why the model does not belong to this desk; empty when it does.

    Whether it has seen a session that is about to be traded depends on the session and is judged by
    `compatible` each time the model is loaded.

    Parameters
    ----------
    features_hash, config_hash, universe, horizon_sessions
        What the desk uses now; the order of the symbols does not matter.
    content_sha256 : str
        Hash of the model file, recomputed by the caller from the bytes.
    """
    reasons = []
    if manifest.provenance != REAL:
        reasons.append(f"trained on {manifest.provenance} bars, which may never be traded")
    for name, here in (
        ("content_sha256", content_sha256),
        ("features_hash", features_hash),
        ("config_hash", config_hash),
        ("horizon_sessions", horizon_sessions),
    ):
        trained = getattr(manifest, name)
        if trained != here:
            reasons.append(f"{name} is {_short(trained)} in the manifest and {_short(here)} here")
    if manifest.label != TRADED_LABEL:
        reasons.append(f"forecasts {manifest.label}, and the policy trades on {TRADED_LABEL}")
    absent = sorted(set(universe) - set(manifest.universe))
    surplus = sorted(set(manifest.universe) - set(universe))
    if absent:
        reasons.append(f"not trained on {', '.join(absent)}")
    if surplus:
        reasons.append(f"trained on {', '.join(surplus)}, not in the universe here")
    return tuple(reasons)


def compatible(
    manifest: ModelManifest,
    *,
    features_hash: str,
    config_hash: str,
    universe: Sequence[str],
    horizon_sessions: int,
    content_sha256: str,
    as_of_session: str,
) -> tuple[str, ...]:
    """Reasons why the model may not decide in that session; empty when it may.

    Parameters
    ----------
    features_hash, config_hash, universe, horizon_sessions, content_sha256
        As in `acceptable`.
    as_of_session : str
        ISO date of the session to be traded. The model may not have seen its bars, or later ones.
    """
    reasons = acceptable(
        manifest,
        features_hash=features_hash,
        config_hash=config_hash,
        universe=universe,
        horizon_sessions=horizon_sessions,
        content_sha256=content_sha256,
    )
    if not _is_date(as_of_session):
        return (*reasons, f"session {as_of_session!r} is not an ISO date")
    if not manifest.train_last_session < as_of_session:
        seen = f"trained on bars up to {manifest.train_last_session}: it has seen session {as_of_session}"
        return (*reasons, seen)
    return reasons


def _wrong_names(manifest: ModelManifest) -> list[str]:
    wrong = []
    for name in ("kind", "label"):
        if not (isinstance(getattr(manifest, name), str) and getattr(manifest, name)):
            wrong.append(f"{name} is empty")
    for name in ("features_hash", "bars_fingerprint", "config_hash", "code_hash", "content_sha256"):
        value = getattr(manifest, name)
        if not (isinstance(value, str) and _SHA256.fullmatch(value)):
            wrong.append(f"{name} is not a sha256: {value!r}")
    if manifest.author != str(manifest.author).strip():
        wrong.append(f"author is not a name: {manifest.author!r}")
    if manifest.partition_hash != "" and not _SHA256.fullmatch(str(manifest.partition_hash)):
        wrong.append(f"partition_hash is not a sha256: {manifest.partition_hash!r}")
    for name in ("features", "universe"):
        value = getattr(manifest, name)
        if not (isinstance(value, tuple) and value and all(isinstance(one, str) and one for one in value)):
            wrong.append(f"{name} must be a tuple of names, not {value!r}")
        elif len(set(value)) != len(value):
            wrong.append(f"{name} has a name twice")
        elif name == "universe" and list(value) != sorted(value):
            wrong.append("universe is not sorted")
    if manifest.provenance not in (REAL, SYNTHETIC):
        wrong.append(f"provenance must be {REAL!r} or {SYNTHETIC!r}, not {manifest.provenance!r}")
    return wrong


def _wrong_numbers(manifest: ModelManifest) -> list[str]:
    wrong = []
    for name, least in (("horizon_sessions", 1), ("train_rows", 1), ("seed", 0), ("as_of_ns", 1)):
        value = getattr(manifest, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            wrong.append(f"{name} must be a whole number >= {least}, not {value!r}")
    return wrong


def _wrong_dates(manifest: ModelManifest) -> list[str]:
    first, last = manifest.train_first_session, manifest.train_last_session
    wrong = [f"{value!r} is not an ISO date" for value in (first, last) if not _is_date(value)]
    if not wrong and first > last:
        wrong.append(f"train_first_session {first} is after train_last_session {last}")
    return wrong


def _wrong_mappings(manifest: ModelManifest) -> list[str]:
    # values may come from a file: their types are not yet those that are declared
    wrong = []
    for name in ("library_versions", "metrics"):
        value = getattr(manifest, name)
        if not (isinstance(value, Mapping) and value and all(isinstance(key, str) for key in value)):
            wrong.append(f"{name} must map names to values and may not be empty")
    if wrong:
        return wrong
    versions: Mapping[str, object] = manifest.library_versions
    metrics: Mapping[str, object] = manifest.metrics
    for library, version in versions.items():
        if not (isinstance(version, str) and version):
            wrong.append(f"version of {library} is {version!r}")
    for metric, number in metrics.items():
        if not isinstance(number, float) or not math.isfinite(number):
            wrong.append(f"metric {metric} is {number!r}, not a finite float")
    return [*wrong, *_wrong_parameters(manifest.parameters), *_wrong_bounds(manifest.input_bounds)]


def _wrong_bounds(bounds: object) -> list[str]:
    if not isinstance(bounds, Mapping) or (bounds and set(bounds) != set(INPUT_BOUNDS)):
        return [f"input_bounds must name {', '.join(INPUT_BOUNDS)}, or nothing"]
    return [
        f"input bound {name} is {number!r}, not a positive number"
        for name, number in bounds.items()
        if not isinstance(number, float) or not 0.0 < number < math.inf
    ]


def _wrong_parameters(parameters: object) -> list[str]:
    if not (isinstance(parameters, Mapping) and all(isinstance(key, str) for key in parameters)):
        return ["parameters must map names to values"]
    return [
        f"parameter {name} is {number!r}, not a finite float"
        for name, number in parameters.items()
        if not isinstance(number, float) or not math.isfinite(number)
    ]


def _is_date(value: object) -> bool:
    # strict spelling, so that comparing the texts compares the dates
    if not (isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value)):
        return False
    try:
        np.datetime64(value, "D")
    except ValueError:
        return False
    return True


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:12]}.." if _SHA256.fullmatch(text) else text


def _unusable(what: str) -> ManifestMismatch:
    return ManifestMismatch(
        f"model manifest cannot be used: {what}", next_step="train the model again: `workbench train`"
    )
