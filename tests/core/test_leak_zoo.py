"""The detectors' score on the zoo is what the reference page says; no innocent is accused (F37)."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from workbench.core.validation.zoo import INNOCENT, PLANTED, score_zoo

FOLDER = Path(__file__).parents[2] / "docs/reference"
CLASSES = {
    "next bar", "centred window", "full-sample scaler", "label overlap", "survivor universe", "restated data",
    "resample edge", "one-bar shift", "target in features", "sort instability", "warm-up",
}  # fmt: skip


@pytest.fixture(scope="module")
def builder():
    return runpy.run_path(str(FOLDER / "build_leak_zoo.py"))


@pytest.fixture(scope="module")
def zoo(builder):
    return score_zoo(builder["zoo_bars"]())


def test_every_class_of_leak_is_planted_and_every_specimen_has_its_own_name():
    assert {one.group for one in PLANTED} == CLASSES
    names = [one.name for one in (*PLANTED, *INNOCENT)]
    assert len(set(names)) == len(names)
    assert all(one.planted for one in PLANTED)
    assert not any(one.planted for one in INNOCENT)


@pytest.mark.slow
def test_all_but_the_known_miss_are_found_and_nobody_is_accused(zoo):
    wrong = zoo[~zoo["right"]]
    assert wrong["specimen"].tolist() == ["the same with a single symbol"]
    assert not zoo.loc[~zoo["planted"], "found"].any()


@pytest.mark.slow
def test_the_reference_page_is_what_the_detectors_say(builder, zoo):
    for name, text in builder["pages"](zoo).items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, "run: docs/reference/build_leak_zoo.py"
