"""Fees, interest and transfers in the books: cash against one account, never shares."""

from __future__ import annotations

import pytest

from workbench.core.corporate import ACTIVITY_KINDS, CASH_ONLY, postings_of_activity
from workbench.core.ledger import Ledger
from workbench.core.ports import Activity


@pytest.mark.parametrize(("kind", "other"), sorted(CASH_ONLY.items()))
@pytest.mark.parametrize("amount", [-1_250_000, 700_000])
def test_a_cash_activity_moves_cash_against_one_account(kind: str, other: str, amount: int) -> None:
    assert kind in ACTIVITY_KINDS
    before = Ledger.opening(10_000_000)
    entry = postings_of_activity(before, Activity("a-1", kind, "", 1, 0, amount))
    assert sum(posting.amount_micro for posting in entry) == 0
    after = before.apply(entry)
    assert after.cash_micro == 10_000_000 + amount
    assert {posting.ledger_account for posting in entry} == {"cash", other}
    assert after.positions_nano == before.positions_nano


@pytest.mark.parametrize("kind", sorted(CASH_ONLY))
def test_a_cash_activity_with_shares_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="moves shares"):
        postings_of_activity(Ledger.opening(1), Activity("a-1", kind, "", 1, 5, 7))
