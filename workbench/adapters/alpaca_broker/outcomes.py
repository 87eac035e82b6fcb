"""What an answer to a submit or a cancel proves; decided by status, code and words together.

Evidence grades: [R] recorded answers of the real service, [D] Alpaca's documents, [T] told by others. One
code stands for many matters (40310000 for at least eight), so a refusal counts only when its words are known
too. Whatever is not in these tables proves nothing, and the order is UNKNOWN.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from workbench.adapters.alpaca_broker.transport import Answer
from workbench.core.ports import SubmitOutcome

DUPLICATE = "client_order_id must be unique"
INVALID, FORBIDDEN, MALFORMED, MISSING, PDT = 42210000, 40310000, 40010001, 40410000, 40310100


@dataclass(frozen=True)
class Refusal:
    """A known no: all three must match."""

    statuses: tuple[int, ...]
    code: int
    words: str

    def matches(self, answer: Answer) -> bool:
        """Whether this is that refusal."""
        known = answer.status in self.statuses and answer.code == self.code
        return known and re.search(self.words, answer.words, re.IGNORECASE) is not None


#: The same id was accepted before: 422 [R-2026], 409 by the CLI's text [T].
DUPLICATES = (Refusal((422, 409), MALFORMED, r"^client_order_id must be unique"),)

#: Refusals of a submit whose words are known.
REFUSALS = (
    Refusal((403,), FORBIDDEN, r"^insufficient buying power"),  # [R-2020]
    Refusal((403,), FORBIDDEN, r"^insufficient qty available for order"),  # [R-2026]
    Refusal((403,), FORBIDDEN, r"^cost basis must be >= minimal amount of order"),  # [D]
    Refusal((403,), FORBIDDEN, r'^asset ".*" is not fractionable'),  # [R-2026]
    Refusal((403, 422), FORBIDDEN, r"^potential wash trade detected"),  # [T]
    Refusal((403,), FORBIDDEN, r"^account is not allowed to short"),  # [T]
    Refusal((403,), FORBIDDEN, r"^only day orders are allowed for hard-to-borrow asset"),  # [T]
    Refusal((403,), FORBIDDEN, r"^(account|trading) is (blocked|not allowed|restricted)"),  # [T]
    Refusal((403,), PDT, r"pattern day trading"),  # legacy since 2026-07 [D]
    Refusal((422,), INVALID, r"sub-penny increment does not fulfill"),  # [D]
    Refusal((422,), INVALID, r"^potential wash trade detected"),  # 2024 [T]
    Refusal((422,), INVALID, r"^fractional orders cannot be sold short"),  # [D]
    Refusal((422,), INVALID, r'^asset ".*" (cannot be sold short|is not active|is not tradable)'),  # [T]
    Refusal((422,), INVALID, r"^stop_loss\.stop_price must be"),  # [D]
    Refusal((422,), INVALID, r"^extended hours order must be"),  # [T]
    Refusal((422,), INVALID, r"^(opg|cls) orders? "),  # hours of the auctions [D]
    Refusal((422,), INVALID, r"^invalid (order|limit_price|stop_price|time_in_force|qty|type|side)\b"),  # [T]
    Refusal((422,), INVALID, r"^limit orders require a limit price"),  # [T]
    Refusal((422,), INVALID, r"^stop orders require a stop price"),  # [T]
    Refusal((422,), INVALID, r"^(qty|limit_price|stop_price) (is required|must be)"),  # [T]
    Refusal((422,), INVALID, r"market session .* is over|^market is closed"),  # [I]
    Refusal((422,), MALFORMED, r"^could not find asset"),  # [T]
    Refusal((400, 422), MALFORMED, r"^qty must be "),  # [T]
    Refusal((400, 422), MALFORMED, r"^only one of qty or notional is accepted"),  # [D], [T]
    Refusal((400, 422), MALFORMED, r"^client_order_id must be no more than"),  # [T]
)

#: Refusals of a cancel: the order is no longer open, or there is none.
CANCEL_REFUSALS = (
    Refusal((422,), INVALID, r"^order is already in"),
    Refusal((422,), INVALID, r"^order is not cancelable"),
    Refusal((404,), MISSING, r"not found"),
)


def submit_outcome(answer: Answer) -> tuple[SubmitOutcome, str]:
    """What an answer other than a readable 2xx to our POST proves, and in which words.

    Returns
    -------
    (SubmitOutcome, str)
        Never ACCEPTED: that takes a body that names our id, which the caller reads.
    """
    if not answer.left:
        return SubmitOutcome.NOT_ACCEPTED, answer.words
    if answer.status == 429:  # turned away before the order desk
        return SubmitOutcome.NOT_ACCEPTED, answer.words or "too many requests"
    if any(rule.matches(answer) for rule in DUPLICATES):
        return SubmitOutcome.REFUSED, DUPLICATE
    if any(rule.matches(answer) for rule in REFUSALS):
        return SubmitOutcome.REFUSED, answer.words
    return SubmitOutcome.UNKNOWN, answer.words or f"status {answer.status}"


def cancel_outcome(answer: Answer) -> tuple[SubmitOutcome, str]:
    """What an answer to a DELETE proves; ACCEPTED = asked, only a look-up shows whether it came about."""
    if answer.status in (200, 204):
        return SubmitOutcome.ACCEPTED, ""
    if not answer.left or answer.status == 429:
        return SubmitOutcome.NOT_ACCEPTED, answer.words or "too many requests"
    if any(rule.matches(answer) for rule in CANCEL_REFUSALS):
        return SubmitOutcome.REFUSED, answer.words
    return SubmitOutcome.UNKNOWN, answer.words or f"status {answer.status}"


def is_absence(answer: Answer) -> bool:
    """Whether the venue says in its own words that it has no such order or position."""
    return answer.status == 404 and answer.code == MISSING
