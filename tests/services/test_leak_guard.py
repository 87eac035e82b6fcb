"""No leaking feature is trained, accepted or passed by the command line: the guard is always called (F37)."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import typed
from planted import HASH, HORIZON, SYMBOLS, TRIED, Memory, planted_bars, train

from workbench.adapters.registry import FileRegistry
from workbench.bootstrap import feature_list
from workbench.config import Settings
from workbench.core.features import FEATURES, Feature, definition, features_hash, registered_features
from workbench.core.validation.guard import leak_reasons, reference_bars
from workbench.errors import Refused
from workbench.services.release import stage_model


def oracle(bars) -> Feature:
    """Looks nice: one row, no future in sight. It knows the next closes from a table it carries."""
    following = {}
    for column in range(bars.close.shape[1]):
        following |= dict(zip(bars.close[:-1, column], np.diff(bars.close[:, column]), strict=True))
    return Feature(
        "oracle_1", 1, lambda window: np.array([following.get(c, 0.0) / c for c in window.close[-1]])
    )


def moody(name: str = "moody_1") -> Feature:
    """Another value at every call."""
    calls = itertools.count()
    return Feature(name, 1, lambda window: window.close[-1] * 0.0 + next(calls), "shape", "none", "chance")


def test_training_refuses_a_feature_that_carries_the_future_and_keeps_nothing(tmp_path: Path) -> None:
    bars, journal = planted_bars(), Memory()
    with pytest.raises(Refused, match=r"features leak: oracle_1: foresight") as refusal:
        train(tmp_path, bars, journal, tried=replace(TRIED, features=(*FEATURES, oracle(bars))))
    assert refusal.value.exit_code == 3
    assert "features --check" in refusal.value.next_step
    assert len(refusal.value.reasons) == 1
    assert FileRegistry(tmp_path).list("model") == ()
    assert journal.recorded == []


def test_promotion_judges_the_features_again_as_they_are_coded_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Memory()
    report = train(tmp_path, planted_bars(), journal)
    desk = {
        "stage": "replay", "holdout_sessions": 0, "person": "ada", "reason": "sound",
        "features_hash": features_hash(FEATURES),
        "config_hash": HASH, "universe": SYMBOLS, "horizon_sessions": HORIZON,
    }  # fmt: skip
    with monkeypatch.context() as patched:
        patched.setitem(definition._REGISTRY, "reversal_5", moody("reversal_5"))
        with pytest.raises(Refused, match="reversal_5: ") as refusal:
            stage_model(journal, FileRegistry(tmp_path), report.model_id, **desk)
    assert any("reversal_5" in reason for reason in refusal.value.reasons)
    with monkeypatch.context() as patched:
        patched.delitem(definition._REGISTRY, "reversal_5")
        with pytest.raises(Refused, match="cannot be judged"):
            stage_model(journal, FileRegistry(tmp_path), report.model_id, **desk)
    assert stage_model(journal, FileRegistry(tmp_path), report.model_id, **desk) == report.manifest


def test_the_manifest_says_which_rows_trained_and_tested_each_block(tmp_path: Path) -> None:
    first = train(tmp_path / "a", planted_bars()).manifest
    again = train(tmp_path / "b", planted_bars(strength=0.2)).manifest
    assert len(first.partition_hash) == 64
    assert first.partition_hash == again.partition_hash  # rows and labels' ends, not values
    longer = train(tmp_path / "c", planted_bars(499)).manifest
    assert longer.partition_hash != first.partition_hash


def test_the_command_judges_every_feature_and_leaves_with_3_when_one_leaks(
    new_desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: Settings = new_desk()
    assert feature_list.check_features(settings) == []
    monkeypatch.setitem(definition._REGISTRY, "moody_1", moody())
    found = feature_list.check_features(settings)
    assert {one["feature"] for one in found} == {"moody_1"}
    assert set(found[0]) == {"feature", "bar", "symbol", "kind", "size"}
    answer = typed(tmp_path / "desk", "features", "--check", "--json")
    assert (answer.code, answer.payload["exit_code"]) == (3, 3)
    assert "moody_1" in answer.payload["message"]
    monkeypatch.undo()
    answer = typed(tmp_path / "desk", "features", "--check", "--json")
    assert (answer.code, answer.payload["checked"]) == (0, True)


def test_the_reference_bars_are_the_same_everywhere_and_long_enough() -> None:
    everything = registered_features()
    bars = reference_bars(everything)
    assert bars.close.tobytes() == reference_bars(everything).close.tobytes()
    assert len(bars.ts_ns) == max(one.lookback for one in everything) + 40
    assert leak_reasons(FEATURES, bars) == ()
