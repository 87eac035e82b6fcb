"""A manifest refuses what cannot be true, and names every reason why a model does not fit (F30, F39)."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.canonical import canonical_json
from workbench.core.manifest import ModelManifest, acceptable, compatible
from workbench.errors import ManifestMismatch

A, B, C, D, E, OTHER = (letter * 64 for letter in "abcde0")

GOOD = ModelManifest(
    kind="standard_scaler+ridge",
    features=("momentum_20", "reversal_5"),
    features_hash=A,
    universe=("AAPL", "MSFT"),
    horizon_sessions=5,
    bars_fingerprint=B,
    provenance="real",
    train_first_session="2010-01-04",
    train_last_session="2012-12-31",
    train_rows=1_400,
    label="forward_return",
    seed=7,
    as_of_ns=1_356_998_400_000_000_000,
    config_hash=C,
    code_hash=D,
    library_versions={"scikit-learn": "1.9.1"},
    content_sha256=E,
    metrics={"mean_ic": 0.02, "mean_hit_rate": 0.51},
)
HERE = {
    "features_hash": A,
    "config_hash": C,
    "universe": ("MSFT", "AAPL"),
    "horizon_sessions": 5,
    "content_sha256": E,
    "as_of_session": "2013-01-02",
}


def test_a_fitting_model_has_no_reason_against_it_and_symbol_order_does_not_matter():
    assert compatible(GOOD, **HERE) == ()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("features_hash", OTHER, "features_hash"),
        ("config_hash", OTHER, "config_hash"),
        ("content_sha256", OTHER, "content_sha256"),
        ("horizon_sessions", 6, "horizon_sessions"),
        ("universe", ("AAPL", "IBM", "MSFT"), "not trained on IBM"),
        ("universe", ("AAPL",), "trained on MSFT"),
        ("universe", (), "trained on AAPL, MSFT"),
        ("as_of_session", "2012-12-31", "has seen session 2012-12-31"),
        ("as_of_session", "2012-12-28", "has seen session"),
        ("as_of_session", "2013-1-2", "not an ISO date"),
        ("as_of_session", "", "not an ISO date"),
    ],
)
def test_each_difference_is_a_reason_of_its_own(name, value, words):
    reasons = compatible(GOOD, **{**HERE, name: value})
    assert len(reasons) == 1
    assert words in reasons[0]


def test_a_manifest_without_parameters_reads_and_writes_as_it_did_before_there_were_any():
    assert "parameters" not in GOOD.to_dict()
    assert ModelManifest.from_dict(GOOD.to_dict()).parameters == {}
    tuned = dataclasses.replace(GOOD, parameters={"alpha": 1.0})
    assert ModelManifest.from_dict(tuned.to_dict()) == tuned != GOOD


def test_a_model_of_another_label_than_the_traded_one_is_never_compatible():
    reasons = compatible(dataclasses.replace(GOOD, label="triple_barrier"), **HERE)
    assert len(reasons) == 1
    assert "forecasts triple_barrier" in reasons[0]


def test_several_differences_are_all_named():
    reasons = compatible(GOOD, **{**HERE, "features_hash": OTHER, "config_hash": OTHER, "universe": ("IBM",)})
    assert len(reasons) == 4


def test_a_model_of_synthetic_bars_is_never_compatible_f30():
    synthetic = dataclasses.replace(GOOD, provenance="synthetic")
    assert any("synthetic" in reason for reason in compatible(synthetic, **HERE))


def test_acceptance_does_not_ask_for_a_session_but_for_all_else():
    here = {name: value for name, value in HERE.items() if name != "as_of_session"}
    assert acceptable(GOOD, **here) == ()
    assert acceptable(GOOD, **{**here, "content_sha256": OTHER}) != ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("metrics", {"mean_ic": math.nan}),
        ("metrics", {"mean_ic": math.inf}),
        ("metrics", {"mean_ic": None}),
        ("metrics", {"mean_ic": True}),
        ("metrics", {}),
        ("parameters", {"alpha": math.nan}),
        ("parameters", {"alpha": 1}),
        ("parameters", None),
        ("library_versions", {}),
        ("library_versions", {"numpy": 2}),
        ("provenance", "unknown"),
        ("provenance", ""),
        ("features_hash", "A" * 64),
        ("config_hash", ""),
        ("content_sha256", None),
        ("universe", ("MSFT", "AAPL")),
        ("universe", ("AAPL", "AAPL")),
        ("universe", "AAPL"),
        ("features", ()),
        ("horizon_sessions", 0),
        ("horizon_sessions", 5.0),
        ("train_rows", True),
        ("as_of_ns", 0),
        ("seed", -1),
        ("train_last_session", "2009-12-31"),
        ("train_first_session", "2010-02-30"),
        ("kind", ""),
    ],
)
def test_what_cannot_be_true_is_refused_by_name_f39(name, value):
    with pytest.raises(ValueError, match="model manifest"):
        dataclasses.replace(GOOD, **{name: value})
    plain = {**GOOD.to_dict(), name: list(value) if isinstance(value, tuple) else value}
    with pytest.raises(ManifestMismatch) as refusal:
        ModelManifest.from_dict(plain)
    assert "workbench train" in refusal.value.next_step


def test_unknown_and_missing_keys_are_refused_and_named():
    plain = GOOD.to_dict()
    with pytest.raises(ManifestMismatch, match="unknown key 'threshold'"):
        ModelManifest.from_dict({**plain, "threshold": 1})
    for name in plain:
        with pytest.raises(ManifestMismatch, match=f"missing key '{name}'"):
            ModelManifest.from_dict({key: value for key, value in plain.items() if key != name})


@given(
    seed=st.integers(0, 2**40),
    metrics=st.dictionaries(
        st.text(min_size=1), st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4
    ),
    universe=st.sets(st.text("ABCXYZ.", min_size=1, max_size=5), min_size=1, max_size=5),
)
def test_a_manifest_survives_canonical_json_unchanged(seed, metrics, universe):
    manifest = dataclasses.replace(GOOD, seed=seed, metrics=metrics, universe=tuple(sorted(universe)))
    text = canonical_json(manifest.to_dict())
    again = ModelManifest.from_dict(json.loads(text))
    assert again == manifest
    assert canonical_json(again.to_dict()) == text
