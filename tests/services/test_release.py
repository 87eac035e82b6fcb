"""A release of a model: every gate from stored records, two people, and no known trick that works."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted import COSTS
from release_world import (
    DAYS,
    DESK,
    EXPERIMENT,
    HELD,
    SYMBOLS,
    TRAINED,
    World,
    copier,
    new_world,
    prices,
    train,
)

from workbench.core.overfitting import judge_family
from workbench.core.ports import Event
from workbench.core.types import NANO
from workbench.core.validation import CombinatorialPurgedKFold
from workbench.errors import ApprovalRequired, DataError, JournalConflict, ManifestMismatch, Refused
from workbench.services.model_files import read_forecast_model
from workbench.services.promotion import accepted_model, read_model, register_model
from workbench.services.refits import refit_candidate
from workbench.services.release import Desk, judge_model, retire_model
from workbench.services.research import record_trial
from workbench.services.retrial import Retrial, experiment_of
from workbench.services.return_series import ReturnSeries
from workbench.services.training import fit_file
from workbench.services.walk_forward import training_rows

GATES = (
    "manifest", "leakage", "halts", "author", "stage", "holdout", "rows", "deflated Sharpe ratio",
    "superior predictive ability", "backtest overfitting", "determinism", "leakage on its bars",
    "universe", "walk-forward", "sensitivity", "degradation", "capacity", "drift",
)  # fmt: skip


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory):
    """Copies of one world whose candidate deserves its release."""
    return copier(new_world(tmp_path_factory.mktemp("release") / "desk", prices(seed=12)))


@pytest.fixture
def world(copy, tmp_path: Path):
    made = copy(tmp_path / "desk")
    yield made
    made.journal.close()


def refusal(world: World, **changes) -> str:
    with pytest.raises(Refused) as refused:
        world.promote(**changes)
    assert refused.value.exit_code == 3
    return "; ".join(refused.value.reasons)


# --- the honest way -------------------------------------------------------------------------------------


def test_a_skill_that_lasts_passes_every_gate_and_the_record_names_each_with_its_numbers(world):
    world.promote()
    assert accepted_model(world.journal, "shadow") == world.model_id
    (release,) = world.journal.rows("releases")
    assert [gate["name"] for gate in release["gates"]] == list(GATES)
    assert all(gate["passed"] and gate["evidence"] for gate in release["gates"])
    numbers = {gate["name"]: gate["numbers"] for gate in release["gates"]}
    assert float(numbers["degradation"]["costs x 2"]) < float(numbers["degradation"]["own"])
    assert float(numbers["sensitivity"]["own"]) == pytest.approx(float(numbers["degradation"]["own"]))
    assert int(numbers["determinism"]["sessions"]) >= 2_520
    assert float(numbers["capacity"]["participation"]) < 0.02
    said = refusal(world, stage="paper")
    assert said == "no proof from shadow sessions is on record"


def test_one_person_asks_and_only_another_one_can_confirm(world):
    with pytest.raises(ApprovalRequired, match="ada asks to promote model") as asked:
        world.promote(two=True)
    assert "--confirm" in asked.value.next_step
    with pytest.raises(ApprovalRequired, match="a second person confirms"):
        world.promote(two=True)
    assert world.journal.rows("models")[0]["stage"] == "candidate"
    world.promote(two=True, person="grace")
    (row,) = world.journal.rows("models")
    assert (row["stage"], row["person"]) == ("shadow", "grace")
    (staged,) = [e.payload for e in world.journal.events(kinds=("model.staged",))]
    assert staged["second"] == "ada"
    acts = [(act["act"], act["person"]) for act in world.journal.rows("acts")]
    assert acts == [("train", "mary"), ("ask for a second person", "ada"), ("confirm", "grace")]


def test_the_author_on_record_may_ask_and_never_confirms(world):
    """Who trained it was said and recorded at its training: nobody can claim another author afterwards."""
    assert read_model(world.registry, world.model_id)[1].author == "mary"
    with pytest.raises(ApprovalRequired, match="grace asks"):
        world.promote(two=True, person="grace")
    with pytest.raises(ApprovalRequired, match="mary trained it and cannot confirm"):
        world.promote(two=True, person="mary")
    (refused_act,) = [e.payload for e in world.journal.events(kinds=("act.refused",))]
    assert (refused_act["act"], refused_act["person"]) == ("confirm", "mary")
    (asked,) = world.two().waiting()
    world.two().confirm(asked["subject"], person="mary", reason="around the gate")
    staged = {
        "model_id": world.model_id, "stage": "shadow", "person": "mary", "reason": "mine",
        "request_id": asked["request_id"], "second": "grace",
    }  # fmt: skip
    with pytest.raises(JournalConflict, match="mary trained the model and cannot confirm it"):
        world.journal.commit([Event("model.staged", staged)])
    assert world.journal.rows("models")[0]["stage"] == "candidate"
    with pytest.raises(ApprovalRequired, match="mary asks"):
        world.promote(two=True, person="mary")
    world.promote(two=True, person="grace")
    (model,) = world.journal.rows("models")
    assert (model["stage"], model["person"]) == ("shadow", "grace")


def test_trick_have_a_colleague_train_the_same_again_or_say_no_author(world):
    again = train(world, author="grace")
    assert again != world.model_id  # the author is part of the manifest
    with pytest.raises(ApprovalRequired, match="ada asks"):
        world.promote(two=True, person="ada")
    for author in ("grace", "mary"):
        with pytest.raises(ApprovalRequired, match=f"{author} trained it"):
            world.promote(two=True, person=author)
    nameless = train(world, replace(EXPERIMENT, alpha=2.0), author="")
    world.read_holdout(nameless)
    assert "nobody is on record as its author" in refusal(world, model_id=nameless, two=True)
    with pytest.raises(ApprovalRequired, match="not registered"):
        train(world, author="a stranger")


def test_a_retired_model_never_comes_back(world):
    world.promote()
    retire_model(world.journal, world.model_id, person="grace", reason="superseded")
    with pytest.raises(ManifestMismatch, match="no model is accepted"):
        accepted_model(world.journal, "shadow")
    assert "a retired model never comes back" in refusal(world, stage="replay")
    with pytest.raises(Refused, match="retired already"):
        retire_model(world.journal, world.model_id, person="grace", reason="again")


# --- what each gate refuses -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def retrial(copy, tmp_path_factory: pytest.TempPathFactory):
    """The candidate tried again, with its manifest and market."""
    made = copy(tmp_path_factory.mktemp("retrial") / "desk")
    _, manifest = read_model(made.registry, made.model_id)
    made.journal.close()
    return made, manifest


def test_a_candidates_model_is_fitted_anew_for_every_split(retrial):
    """Paths of its own label and features; the first split written out, rows of both sides apart in time."""
    world, manifest = retrial
    found = refit_candidate(manifest, world.market(), n_folds=4, n_test_folds=2, embargo=5)
    assert found.columns.tolist() == ["label", 1, 2, 3]
    assert found.notna().all().all()
    tried = experiment_of(manifest, COSTS)
    rows = training_rows(world.bars.rows(0, TRAINED), tried.features, label=tried.label, horizon_sessions=5)
    folds = CombinatorialPurgedKFold(4, 2, purge=rows.label_end_ns, embargo=5)
    train, test = next(folds.split(rows.matrix, groups=rows.known_ns))
    assert rows.known_ns[train].min() > rows.label_end_ns[test].max()
    file = fit_file(tried, rows.matrix[train], rows.target[train])
    wanted = read_forecast_model(file, tried.names).forecast(rows.matrix[test])
    assert np.array_equal(found[1].to_numpy()[test], wanted)
    assert found.index[0] == (DAYS[rows.bar[0]], SYMBOLS[rows.column[0]])


def test_without_volume_nobody_can_say_what_could_have_been_traded(retrial):
    world, manifest = retrial
    silent = replace(world.bars, volume=np.zeros_like(world.bars.volume))
    gate = Retrial(manifest, world.market(bars=silent)).capacity()
    assert gate.reasons == ("no volume: nobody can say what could have been traded",)


def test_orders_beyond_the_participation_limit_are_refused(retrial):
    world, manifest = retrial
    gate = Retrial(manifest, world.market(max_participation=1e-6)).capacity()
    assert "of the volume, the desk allows 0.00%" in gate.reasons[0]


def test_survivors_and_a_missing_cost_model_are_refused(retrial):
    world, manifest = retrial
    content, _ = read_model(world.registry, world.model_id)
    tried = Retrial(manifest, world.market(survivors=("sample/daily",), cost_now=None))
    gates = {gate.name: gate for gate in tried.gates(content, series_of(world))}
    assert "survivor universe: sample/daily" in gates["universe"].reasons[0]
    assert gates["walk-forward"].reasons == ("no cost model is approved",)
    assert gates["determinism"].passed


def test_features_that_left_their_training_are_named(retrial):
    world, manifest = retrial
    wild = world.bars.close.copy()
    wild[TRAINED:] = wild[TRAINED - 1] * np.cumprod(
        1.0 + np.random.default_rng(3).normal(0.0, 0.06, (HELD, wild.shape[1])), axis=0
    )
    moved = replace(world.bars, open=wild, high=wild, low=wild, close=wild)
    gate = Retrial(manifest, world.market(latest=moved)).drift()
    assert "have drifted since training" in "; ".join(gate.reasons)


def series_of(world: World) -> ReturnSeries:
    (trial,) = world.journal.rows("trials", model_id=world.model_id)
    return ReturnSeries.from_bytes(world.registry.get("trial_series", trial["series_id"])[0])


# --- tricks ---------------------------------------------------------------------------------------------


def test_trick_edit_the_manifest(world):
    path = world.registry.root / "model" / world.model_id / "manifest.json"
    plain = json.loads(path.read_text())
    for key, value in (("metrics", plain["metrics"] | {"mean_ic": 0.9}), ("author", "ada")):
        path.write_text(json.dumps(plain | {key: value}))
        with pytest.raises(ManifestMismatch, match=r"manifest\.json"):
            world.promote()


def test_trick_swap_the_model_file_for_another_with_a_manifest_that_fits(world):
    other = train(world, replace(EXPERIMENT, alpha=5e4))
    content, _ = read_model(world.registry, other)
    _, manifest = read_model(world.registry, world.model_id)
    lie = replace(manifest, content_sha256=hashlib.sha256(content).hexdigest())
    swapped = register_model(world.journal, world.registry, content, lie)
    assert "no trial of it is in the ledger" in refusal(world, model_id=swapped)
    record_trial(
        world.journal, world.registry, series_of(world), family="forged", parameters={"a": 1},
        source="training", model_id=swapped,
    )  # fmt: skip
    world.read_holdout(swapped)
    said = refusal(world, model_id=swapped)
    assert "its training, repeated, gives another model file" in said


def test_trick_record_returns_that_the_model_never_had(world):
    """The file is honest, the returns in the ledger are not: the walk-forward, repeated, says so."""
    manifest = read_model(world.registry, world.model_id)[1]
    content, _ = read_model(world.registry, world.model_id)
    honest = series_of(world)
    better = tuple(value + NANO // 2_000 for value in honest.net_nano)
    again = Retrial(manifest, world.market()).determinism(content, replace(honest, net_nano=better))
    assert again.reasons == ("its walk-forward, repeated, gives other returns than its trial in the ledger",)


def test_trick_rename_the_features(world):
    manifest = read_model(world.registry, world.model_id)[1]
    content, _ = read_model(world.registry, world.model_id)
    named = register_model(
        world.journal, world.registry, content,
        replace(manifest, features=("momentum_of_mine", *manifest.features[1:])),
    )  # fmt: skip
    assert "its features cannot be judged: 'momentum_of_mine'" in refusal(
        world, stage="replay", model_id=named
    )
    turned = register_model(
        world.journal, world.registry, content, replace(manifest, features=manifest.features[::-1])
    )
    assert "no trial of it is in the ledger" in refusal(world, model_id=turned)


def test_trick_reuse_an_approval_for_another_model_or_for_other_evidence(world):
    with pytest.raises(ApprovalRequired):
        world.promote(two=True)
    drawn = np.random.default_rng(1).normal(0.0, 0.01, len(series_of(world).sessions))
    dull = ReturnSeries.of(series_of(world).sessions, drawn.tolist(), series_of(world).hold.tolist())
    record_trial(world.journal, world.registry, dull, family="f", parameters={"n": 1}, source="notebook")
    with pytest.raises(
        ApprovalRequired, match="grace asks to promote"
    ):  # the word given was on other evidence
        world.promote(two=True, person="grace")
    world.promote(two=True, person="ada")
    (staged,) = [e.payload for e in world.journal.events(kinds=("model.staged",))]
    used = {**staged, "stage": "paper"}
    with pytest.raises(JournalConflict, match="was not judged fit for paper"):
        world.journal.commit([Event("model.staged", used)])
    twin = train(world, replace(EXPERIMENT, alpha=2.0))
    with pytest.raises(JournalConflict, match="was not judged fit for shadow"):
        world.journal.commit([Event("model.staged", {**staged, "model_id": twin})])


def test_trick_fit_on_the_holdout(world):
    greedy = train(world, rows=TRAINED + HELD)
    with pytest.raises(Refused, match="was trained up to"):
        world.read_holdout(greedy)
    assert "its holdout was not read" in refusal(world, model_id=greedy)


def test_trick_change_the_clock(world):
    """Neither a clock that was set back nor one set forward makes room for attempts, or shortens a wait."""
    with pytest.raises(ApprovalRequired):
        world.promote(two=True)
    world.wall_ns -= 40 * 86_400 * NANO  # the request lies in the future now: it is not there to confirm
    with pytest.raises(ApprovalRequired, match="asks to promote"):
        world.promote(two=True, person="grace")
    with pytest.raises(DataError, match="as-of time"):
        train(world, as_of_ns=int(world.bars.ts_ns[TRAINED - 2]))


def test_trick_add_a_common_hedge_to_every_trial(world):
    """With a hedge shared by all, thirty trials are one group; the luck of the best is still refused."""
    draw = np.random.default_rng(5)
    rows = 2_520
    hedge = draw.normal(0.0, 0.03, (rows, 1))
    returns = draw.normal(0.0, 0.01, (rows, 30)) + hedge
    best = int(np.argmax(returns.mean(axis=0)))
    verdict = judge_family(returns, np.zeros(rows), candidate=best, mean_block=10, seed=1)
    assert verdict.clusters.n_clusters == 1
    assert not verdict.passed


@pytest.mark.prove
def test_trick_pad_with_five_thousand_near_copies():
    draw = np.random.default_rng(7)
    rows = 2_520
    tried = draw.normal(0.0, 0.01, (rows, 40))
    best = int(np.argmax(tried.mean(axis=0) / tried.std(axis=0)))
    before = judge_family(tried, np.zeros(rows), candidate=best, mean_block=10, seed=1)
    copies = tried[:, [0 if best else 1]] + draw.normal(0.0, 1e-6, (rows, 5_000))
    after = judge_family(np.hstack([tried, copies]), np.zeros(rows), candidate=best, mean_block=10, seed=1)
    assert not before.passed
    assert not after.passed
    assert (before.clusters.n_clusters, after.clusters.n_clusters) == (40, 40)
    assert float(after.deflated) == pytest.approx(float(before.deflated), abs=0.02)
    assert after.n_trials == 5_040


# --- whole worlds ---------------------------------------------------------------------------------------


def judged_world(folder: Path, seed: int, strength: float) -> tuple[bool, str]:
    made = new_world(folder, prices(seed=seed, strength=strength))
    try:
        verdict, _ = judge_model(
            made.journal, made.registry, made.model_id, stage="shadow", desk=Desk(**DESK),
            examiner=made.examiner(),
        )  # fmt: skip
        return verdict.passed, "; ".join(verdict.reasons)
    finally:
        made.journal.close()


@pytest.mark.prove
def test_the_whole_gate_on_twenty_worlds_of_prices(tmp_path: Path, record_property):
    """Twelve worlds without skill, none passes; twelve with a plateau, where facts of the world may refuse.

    Such facts are a holdout too short to show skill, features that moved away from those of the training, and
    a market too thin for the desk's money.
    """
    noise = [judged_world(tmp_path / f"noise{seed}", 100 + seed, 0.0) for seed in range(12)]
    assert sum(passed for passed, _ in noise) == 0
    skill = [judged_world(tmp_path / f"skill{seed}", 200 + seed, 0.0025) for seed in range(12)]
    assert sum(passed for passed, _ in skill) >= 7, [why for passed, why in skill if not passed]
    record_property("worlds", len(noise) + len(skill))
    record_property("without skill, passed", sum(passed for passed, _ in noise))
    record_property("with a plateau, passed", sum(passed for passed, _ in skill))
    facts = ("holdout", "drifted", "of the volume")
    for passed, why in skill:
        assert passed or any(fact in one for one in why.split("; ") for fact in facts), why
    for fact in facts:
        record_property(f"refused: {fact}", sum(fact in why for _, why in skill))
