"""Which change of a limit permits more: never told as less, and a doubt counts as more."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.approvals import ApprovalRules
from workbench.core.limit_changes import LimitChange, limit_changes
from workbench.core.pretrade import Limits


@pytest.mark.parametrize(
    ("name", "old", "new", "more"),
    [
        ("limits.max_order_shares", 5, 6, True),
        ("limits.max_order_shares", 6, 5, False),
        ("limits.price_collar_bps", 300.0, 300.5, True),
        ("limits.duplicate_window_s", 60, 30, True),
        ("limits.duplicate_window_s", 30, 60, False),
        ("limits.allow_short", False, True, True),
        ("limits.allow_short", True, False, False),
        ("limits.restricted", ["IBM"], [], True),
        ("limits.restricted", ["IBM"], ["MSFT"], True),
        ("limits.restricted", ["IBM"], ["IBM", "MSFT"], False),
        ("approvals.required", True, False, True),
        ("approvals.required", False, True, False),
        ("approvals.first_order_of_symbol", True, False, True),
        ("approvals.life_s", 60, 61, True),
        ("people.signatures_required", True, False, True),
        ("people.promotion_second_person", "shadow", "live", True),
        ("people.promotion_second_person", "paper", "live", True),
        ("people.promotion_second_person", "live", "shadow", False),
        ("people.promotion_second_person", "paper", "nobody", True),
        ("limits.some_new_thing", 1, 2, True),
        ("limits.some_new_thing", 2, 1, True),
        ("limits.some_new_switch", True, False, True),
        ("limits.max_order_shares", 5, "7", True),
        ("limits.max_order_shares", 5.0, float("nan"), True),
    ],
)
def test_what_permits_more(name: str, old: Any, new: Any, more: bool) -> None:
    assert limit_changes({name: old}, {name: new}) == (LimitChange(name, old, new, more),) or new != new
    assert [change.permits_more for change in limit_changes({name: old}, {name: new})] == [more]


def test_a_limit_that_is_taken_away_permits_more_and_a_new_one_does_not() -> None:
    (gone,) = limit_changes({"limits.max_order_shares": 5}, {})
    (new,) = limit_changes({}, {"limits.max_order_shares": 5})
    assert (gone.permits_more, new.permits_more) == (True, False)
    assert str(gone) == "limits.max_order_shares 5 -> none"


def test_equal_values_are_no_change_whatever_their_container() -> None:
    assert limit_changes({"limits.restricted": ["IBM"]}, {"limits.restricted": ("IBM",)}) == ()


VALUES = st.one_of(st.booleans(), st.integers(1, 9), st.lists(st.sampled_from(["IBM", "MSFT"]), unique=True))


@given(
    st.sampled_from([f.name for kind in (Limits, ApprovalRules) for f in dataclasses.fields(kind)]),
    VALUES,
    VALUES,
)
def test_of_a_change_and_its_reverse_one_permits_more(name: str, old: Any, new: Any) -> None:
    there, back = limit_changes({name: old}, {name: new}), limit_changes({name: new}, {name: old})
    assert bool(there) == bool(back) == (str(old) != str(new))
    if there:
        reordered = name == "restricted" and isinstance(old, list) and isinstance(new, list)
        equal = reordered and set(old) == set(new)  # what is forbidden stays forbidden in any order
        assert (there[0].permits_more or back[0].permits_more) is not equal
