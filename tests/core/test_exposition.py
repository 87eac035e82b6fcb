"""Figures as Prometheus reads them: read back by an own reader of the format."""

from __future__ import annotations

import math

import pytest
from exposition_reader import read
from hypothesis import example, given
from hypothesis import strategies as st

from workbench.core.exposition import Figure, exposition


@example('two\nlines, a "quote" and a \\', 1.0)
@given(st.text(), st.floats())
def test_any_label_and_any_value_is_read_back(label: str, value: float) -> None:
    text = exposition([Figure("desk_x", value, "words", {"name": label})])
    ((key, again),) = read(text).items()
    assert key == ("desk_x", (("name", label),))
    assert again == value or (math.isnan(again) and math.isnan(value))


def test_members_of_a_metric_stand_together_under_one_type() -> None:
    text = exposition(
        [Figure("a_total", 1, "A."), Figure("b", 2, "B.", {"x": "1"}), Figure("a_total", 3, "A.", {"x": "2"})]
    )
    assert text.splitlines() == [
        "# HELP a_total A.", "# TYPE a_total counter", "a_total 1", 'a_total{x="2"} 3',
        "# HELP b B.", "# TYPE b gauge", 'b{x="1"} 2',
    ]  # fmt: skip


@pytest.mark.parametrize(
    "figures",
    [
        [Figure("a b", 1, "")],
        [Figure("a", 1, "", {"x-y": "1"})],
        [Figure("a", 1, "", {"x": "1"}), Figure("a", 2, "", {"x": "1"})],
    ],
)
def test_what_the_format_does_not_know_is_refused(figures: list[Figure]) -> None:
    with pytest.raises(ValueError, match=r"no name|twice"):
        exposition(figures)
