"""Acceptance needs a registered person, a reason and recomputed evidence; no force (F30, F38, F39)."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
from pathlib import Path

import pytest

from workbench.adapters.journal import JournalDatabase
from workbench.adapters.registry import FileRegistry
from workbench.core.canonical import canonical_json
from workbench.core.costs import FeeSchedule, PriorCost, prior
from workbench.core.manifest import ModelManifest
from workbench.core.ports import Event
from workbench.core.types import DAY_NS
from workbench.errors import ApprovalRequired, ManifestMismatch, Refused, UsageError
from workbench.services.promotion import (
    accepted_model,
    approve_cost_model,
    current_cost_model,
    read_model,
    register_model,
)
from workbench.services.release import stage_model

CONTENT = b"a model file"
A, B, C, D, OTHER = (letter * 64 for letter in "abcd0")
NOW_NS = 1_357_000_000_000_000_000
MANIFEST = ModelManifest(
    kind="standard_scaler+ridge",
    features=("momentum_20",),
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
    as_of_ns=NOW_NS,
    config_hash=C,
    code_hash=D,
    library_versions={"scikit-learn": "1.9.1"},
    content_sha256=hashlib.sha256(CONTENT).hexdigest(),
    metrics={"mean_ic": 0.02},
)
DESK = {
    "features_hash": A, "config_hash": C, "universe": ("MSFT", "AAPL"), "horizon_sessions": 5,
    "holdout_sessions": 0,
}  # fmt: skip
ACCEPT = {"stage": "replay", "person": "ada", "reason": "walk-forward looks sound", **DESK}


@pytest.fixture
def journal(tmp_path: Path):
    journal = JournalDatabase(
        f"sqlite:///{tmp_path / 'journal.sqlite'}",
        anchor_path=tmp_path / "anchor",
        anchor_key=b"k" * 32,
        config_hash=C,
        wall_ns=lambda: NOW_NS,
    )
    for person, role in (("ada", "operator"), ("grace", "approver"), ("eve", "viewer")):
        journal.commit([Event("person.added", {"person": person, "role": role, "passphrase_hash": ""})])
    yield journal
    journal.close()


@pytest.fixture
def registry(tmp_path: Path) -> FileRegistry:
    return FileRegistry(tmp_path / "registry")


def candidate(journal, registry, **changes) -> str:
    return register_model(journal, registry, CONTENT, dataclasses.replace(MANIFEST, **changes))


def flip_a_byte(path: Path) -> None:
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))


def test_a_candidate_is_used_only_after_a_person_accepted_it(journal, registry):
    model_id = candidate(journal, registry)
    with pytest.raises(ManifestMismatch, match="no model is accepted for mode 'replay'") as refusal:
        accepted_model(journal, "replay")
    assert "workbench promote" in refusal.value.next_step
    assert stage_model(journal, registry, model_id, **ACCEPT) == MANIFEST
    assert accepted_model(journal, "replay") == model_id
    (row,) = journal.rows("models", model_id=model_id)
    assert (row["stage"], row["person"], row["reason"]) == ("replay", "ada", ACCEPT["reason"])
    for later in ("shadow", "paper", "live", "", "replay "):
        with pytest.raises(ManifestMismatch, match="no model is accepted"):
            accepted_model(journal, later)


def test_the_model_accepted_last_counts_also_when_accepted_a_second_time(journal, registry):
    first, second = candidate(journal, registry), candidate(journal, registry, seed=8)
    for model_id in (first, second, first):
        stage_model(journal, registry, model_id, **ACCEPT)
        assert accepted_model(journal, "replay") == model_id


def test_registering_the_same_model_again_changes_nothing(journal, registry):
    model_id = candidate(journal, registry)
    stage_model(journal, registry, model_id, **ACCEPT)
    before = journal.events()
    assert candidate(journal, registry) == model_id
    assert journal.events() == before
    assert read_model(registry, model_id) == (CONTENT, MANIFEST)


def test_a_manifest_of_another_file_is_not_registered(journal, registry):
    with pytest.raises(ManifestMismatch, match="content_sha256"):
        register_model(journal, registry, CONTENT + b"!", MANIFEST)
    assert registry.list("model") == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"person": "eve"}, "eve is a viewer and may not act"),
        ({"person": "mallory"}, "'mallory' is not registered"),
        ({"person": ""}, "'' is not registered"),
        ({"reason": " \n"}, "reason"),
    ],
)
def test_nobody_and_no_reason_accept_nothing(journal, registry, changes, words):
    model_id = candidate(journal, registry)
    with pytest.raises((ApprovalRequired, UsageError), match=words):
        stage_model(journal, registry, model_id, **{**ACCEPT, **changes})
    model = prior(PriorCost(), FeeSchedule(), as_of_ns=NOW_NS)
    who = {"person": "ada", "reason": "published values", **changes}
    with pytest.raises((ApprovalRequired, UsageError), match=words):
        approve_cost_model(journal, registry, model, **who)
    assert journal.events(kinds=("model.staged", "cost_model.approved", "cost_model.registered")) == ()


@pytest.mark.parametrize("stage", ["candidate", "", "REPLAY", "retired"])
def test_other_stages_are_not_on_offer(journal, registry, stage):
    with pytest.raises(Refused, match="cannot be accepted for") as refusal:
        stage_model(journal, registry, candidate(journal, registry), **{**ACCEPT, "stage": stage})
    assert "replay" in refusal.value.next_step


def test_an_unknown_model_is_refused_with_the_candidates_named(journal, registry):
    with pytest.raises(Refused, match="registered: none") as refusal:
        stage_model(journal, registry, OTHER, **ACCEPT)
    assert "workbench train" in refusal.value.next_step
    known = candidate(journal, registry)
    unregistered = registry.put("model", CONTENT, dataclasses.replace(MANIFEST, seed=9).to_dict())
    for model_id in (OTHER, known[:12], unregistered):
        with pytest.raises(Refused, match=known) as refusal:
            stage_model(journal, registry, model_id, **ACCEPT)
        assert refusal.value.candidates == (known,)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"provenance": "synthetic"}, "synthetic"),
        ({"features_hash": OTHER}, "features_hash"),
        ({"config_hash": OTHER}, "config_hash"),
        ({"horizon_sessions": 6}, "horizon_sessions"),
        ({"universe": ("AAPL",)}, "not trained on MSFT"),
    ],
)
def test_evidence_against_a_model_refuses_it_with_every_reason(journal, registry, made, words):
    model_id = candidate(journal, registry, **made)
    with pytest.raises(Refused, match=words) as refusal:
        stage_model(journal, registry, model_id, **ACCEPT)
    assert len(refusal.value.reasons) == 1
    with pytest.raises(ManifestMismatch):
        accepted_model(journal, "replay")


def test_all_reasons_are_named_at_once(journal, registry):
    model_id = candidate(journal, registry, provenance="synthetic", config_hash=OTHER, horizon_sessions=1)
    with pytest.raises(Refused) as refusal:
        stage_model(journal, registry, model_id, **ACCEPT)
    assert len(refusal.value.reasons) == 3
    assert all(reason in str(refusal.value) for reason in refusal.value.reasons)


@pytest.mark.parametrize("name", ["content.bin", "manifest.json", "hashes.json"])
def test_one_changed_byte_refuses_acceptance_and_names_the_file(journal, registry, name):
    model_id = candidate(journal, registry)
    flip_a_byte(registry.root / "model" / model_id / name)
    with pytest.raises(ManifestMismatch, match=name):
        stage_model(journal, registry, model_id, **ACCEPT)
    assert journal.events(kinds=("model.staged",)) == ()


def test_a_stored_manifest_is_not_believed_about_its_own_file(journal, registry):
    lie = {**MANIFEST.to_dict(), "content_sha256": OTHER}
    model_id = registry.put("model", CONTENT, lie)  # consistent folder, false claim inside
    journal.commit([Event("model.registered", {"model_id": model_id, "manifest": canonical_json(lie)})])
    with pytest.raises(Refused, match="content_sha256"):
        stage_model(journal, registry, model_id, **ACCEPT)


def test_a_journal_that_tells_another_story_than_the_registry_refuses_the_model(journal, registry):
    model_id = registry.put("model", CONTENT, MANIFEST.to_dict())
    other = canonical_json({**MANIFEST.to_dict(), "metrics": {"mean_ic": 0.9}})
    journal.commit([Event("model.registered", {"model_id": model_id, "manifest": other})])
    with pytest.raises(Refused, match="another manifest"):
        stage_model(journal, registry, model_id, **ACCEPT)


def test_there_is_no_way_around_the_evidence_f38():
    parameters = inspect.signature(stage_model).parameters
    assert not {"force", "skip", "override"} & set(parameters)
    # people only sign, words only confirm, and without an examiner nothing goes beyond replay
    evidence = [one for name, one in parameters.items() if name not in ("people", "typed", "examiner")]
    assert all(parameter.default is parameter.empty for parameter in evidence)


def test_an_approved_cost_model_comes_back_until_it_expires(journal, registry):
    model = prior(PriorCost(valid_days=10), FeeSchedule(), as_of_ns=NOW_NS)
    with pytest.raises(ManifestMismatch, match="no cost model is approved") as refusal:
        current_cost_model(journal, registry, NOW_NS, mode="replay")
    assert "workbench calibrate" in refusal.value.next_step
    cost_model_id = approve_cost_model(journal, registry, model, person="grace", reason="published values")
    assert cost_model_id == model.model_id
    assert current_cost_model(journal, registry, NOW_NS, mode="replay") == model
    assert current_cost_model(journal, registry, NOW_NS + 10 * DAY_NS - 1, mode="replay") == model
    (row,) = journal.rows("cost_models", cost_model_id=cost_model_id)
    assert (row["approved_by"], row["reason"]) == ("grace", "published values")
    with pytest.raises(ManifestMismatch, match="stale"):
        current_cost_model(journal, registry, NOW_NS + 10 * DAY_NS, mode="replay")
    with pytest.raises(ManifestMismatch, match="out_of_bounds"):
        current_cost_model(journal, registry, NOW_NS - 1, mode="replay")


def test_the_cost_model_approved_last_counts(journal, registry):
    models = [prior(PriorCost(impact_coefficient=k), FeeSchedule(), as_of_ns=NOW_NS) for k in (1.0, 1.5)]
    for model in (models[0], models[1], models[0]):
        approve_cost_model(journal, registry, model, person="ada", reason="published values")
        assert current_cost_model(journal, registry, NOW_NS, mode="replay") == model
    assert len(journal.events(kinds=("cost_model.registered",))) == 2


@pytest.mark.parametrize("name", ["content.bin", "manifest.json", "hashes.json"])
def test_one_changed_byte_of_a_cost_model_is_refused(journal, registry, name):
    model = prior(PriorCost(), FeeSchedule(), as_of_ns=NOW_NS)
    approve_cost_model(journal, registry, model, person="ada", reason="published values")
    (artifact_id,) = registry.list("cost_model")
    flip_a_byte(registry.root / "cost_model" / artifact_id / name)
    with pytest.raises(ManifestMismatch, match=name):
        current_cost_model(journal, registry, NOW_NS, mode="replay")


def test_an_approval_that_points_at_another_cost_model_is_refused(journal, registry):
    one, two = (prior(PriorCost(impact_coefficient=k), FeeSchedule(), as_of_ns=NOW_NS) for k in (1.0, 1.5))
    approve_cost_model(journal, registry, one, person="ada", reason="published values")
    (artifact_id,) = registry.list("cost_model")
    record = canonical_json({"artifact_id": artifact_id, "cost_model": two.to_manifest()})
    approval = {"cost_model_id": two.model_id, "person": "ada", "reason": "swapped"}
    journal.commit(
        [
            Event("cost_model.registered", {"cost_model_id": two.model_id, "manifest": record}),
            Event("cost_model.approved", approval),
        ]
    )
    with pytest.raises(ManifestMismatch, match="not the one that was approved"):
        current_cost_model(journal, registry, NOW_NS, mode="replay")


def test_an_implausible_cost_model_cannot_be_approved_f39(journal, registry):
    model = prior(PriorCost(impact_coefficient=100.0), FeeSchedule(), as_of_ns=NOW_NS)
    with pytest.raises(Refused, match="out_of_bounds"):
        approve_cost_model(journal, registry, model, person="ada", reason="cheap talk")
    assert registry.list("cost_model") == ()
