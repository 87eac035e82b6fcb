"""Which reasons halt an account, how each is recognised in a state row, and where its runbook is.

The journal keeps a reason in words. The table is read when a halt is shown or told, never when events are
folded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

RUNBOOKS: Final = "docs/runbooks"


@dataclass(frozen=True)
class HaltReason:
    """One reason for a halt of an account.

    Attributes
    ----------
    code : str
        Our name of it, in no record.
    begins : str
        Regular expression for the beginning of the words that the state row holds.
    meaning : str
        One sentence.
    runbook : str
        Path of the page that says what to do, from the root of the project.
    """

    code: str
    begins: str
    meaning: str
    runbook: str


def _reason(code: str, begins: str, runbook: str, meaning: str) -> HaltReason:
    return HaltReason(code, begins, meaning, f"{RUNBOOKS}/{runbook}.md")


HALT_REASONS: Final = (
    _reason("NEW_DESK", "a new desk starts HALTED", "desk-is-new", "Nobody has resumed this desk yet."),
    _reason(
        "NOT_ARMED", "the ARMED file is absent or unreadable", "armed-file-is-absent",
        "The state row permits sending and the ARMED file does not.",
    ),
    _reason(
        "ARMED_OTHERWISE", "the ARMED file is for account", "armed-file-of-another-halt",
        "The ARMED file belongs to another account, or to a permission that is over.",
    ),
    _reason(
        "HALTED_ABOVE", r"the (broker|system) is halted", "halted-above-the-account",
        "A halt of the broker or of the system stands above this account.",
    ),
    _reason(
        "UNCLEAN_END", "recovery: the former run ended without a clean end", "run-ended-uncleanly",
        "A run ended while it held the right to send.",
    ),
    _reason(
        "BREAKS", r"recovery: \d+ reconciliation break", "a-break-was-found",
        "Our books and the venue differ.",
    ),
    _reason(
        "VENUE_SILENT", "no answer of the venue for", "venue-silent-to-the-loop",
        "The loop asked the venue for too long without an answer.",
    ),
    _reason(
        "STREAM_SILENT", "trade updates were not heard for", "trade-updates-not-heard",
        "The stream of trade updates was down for too long.",
    ),
    _reason(
        "RATE_STOP", "rate: more attempts to send", "too-many-attempts",
        "Orders were attempted faster than any decision makes them.",
    ),
    _reason(
        "OTHER_ORDER", r"order \S+ at the venue is", "other-order-under-our-id",
        "The venue holds another order under an id of ours.",
    ),
    _reason(
        "IMPOSSIBLE_STEP", r"order \S+ \(.*?\): ", "order-took-an-impossible-step",
        "The venue tells a state that the order cannot have reached.",
    ),
    _reason(
        "IMPOSSIBLE_FILL", r"execution \S+ of order", "execution-that-may-not-happen",
        "An execution came that its order did not allow.",
    ),
    _reason(
        "STRANGE_FILL", r"execution \S+ is (buy|sell)", "execution-of-another-order",
        "An execution names an order of ours and is not of it.",
    ),
    _reason(
        "FLATTEN_ENDED", "flatten ended:", "flatten-ended",
        "A flatten is over; whatever it left stays as it is.",
    ),
    _reason(
        "JOURNAL_WAS_DOWN", "halted while the journal was down:", "halted-while-the-journal-was-down",
        "A person halted while nothing could be recorded; it is recorded now.",
    ),
    _reason(
        "WORDS_LOST", "a halt was kept in", "halt-record-unreadable",
        "A halt was kept in a file that cannot be read.",
    ),
    _reason(
        "NEW_EPOCH", r"desk epoch \d+ ends, \d+ begins", "a-new-epoch-begins",
        "Another account stands behind the desk, and its books have begun anew.",
    ),
    _reason("LOOP_DEAD", "LOOP_DEAD:", "loop-dead", "The watchdog found the loop dead."),
    _reason("LOOP_STUCK", "LOOP_STUCK:", "loop-stuck", "The watchdog found the loop without progress."),
    _reason(
        "JOURNAL_UNREACHABLE", "JOURNAL_UNREACHABLE:", "journal-unreachable",
        "The watchdog could not read the journal.",
    ),
    _reason(
        "VENUE_UNREACHABLE", "VENUE_UNREACHABLE:", "venue-unreachable",
        "The watchdog got no answer of the venue.",
    ),
    _reason("CLOCK_SKEW", "CLOCK_SKEW:", "clock-skew", "The watchdog found clocks that differ."),
)  # fmt: skip
#: Whatever the machine does not say is the word of a person.
BY_A_PERSON: Final = _reason("PERSON", "", "halted-by-a-person", "A person halted it, in own words.")


def halt_reason(reason: str) -> HaltReason:
    """What is known of a reason that a state row holds; a person's words are `BY_A_PERSON`.

    Examples
    --------
    >>> from workbench.core.halt_reasons import halt_reason
    >>> halt_reason("recovery: 2 reconciliation break(s), first cash").runbook
    'docs/runbooks/a-break-was-found.md'
    >>> halt_reason("prices that cannot be").code
    'PERSON'
    """
    return next((known for known in HALT_REASONS if re.match(known.begins, reason)), BY_A_PERSON)
