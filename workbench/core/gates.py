"""What stands between a model and a later stage: gates with evidence, numbers and reasons."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.core.canonical import sha256_of

if TYPE_CHECKING:
    import pandas as pd

Number = float | int | str


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One question that a model has to answer, and what the records say.

    Attributes
    ----------
    name : str
        Such as "leakage".
    evidence : str
        What the numbers were computed from, in words.
    numbers : mapping of str to number or text
        What was found, and the limits that it was held against.
    reasons : tuple of str
        Why the model may not pass; empty = it passes. What cannot be judged is a reason.
    """

    name: str
    evidence: str
    numbers: Mapping[str, Number] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against the model."""
        return not self.reasons

    def plain(self) -> dict[str, Any]:
        """The gate as text and lists, for a record: numbers on the grid of 1e-6."""
        return {
            "name": self.name,
            "passed": self.passed,
            "evidence": self.evidence,
            "numbers": {name: _text(value) for name, value in self.numbers.items()},
            "reasons": list(self.reasons),
        }

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> Gate:
        """The gate of a record; its numbers stay text."""
        return cls(
            name=plain["name"], evidence=plain["evidence"], numbers=dict(plain["numbers"]),
            reasons=tuple(plain["reasons"]),
        )  # fmt: skip


@dataclass(frozen=True)
class ReleaseVerdict:
    """What all gates together say of a model and a stage.

    Attributes
    ----------
    model_id, stage : str
    gates : tuple of Gate
        In the order in which a reader asks.
    """

    model_id: str
    stage: str
    gates: tuple[Gate, ...]

    @property
    def passed(self) -> bool:
        """Whether every gate passed; without gates nothing did."""
        return bool(self.gates) and all(gate.passed for gate in self.gates)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Everything that speaks against it, in the order of the gates."""
        return tuple(reason for gate in self.gates for reason in gate.reasons)

    @property
    def evidence_hash(self) -> str:
        """Hex sha256 of model, stage and every gate with its numbers: what a person agrees to."""
        return sha256_of([self.model_id, self.stage, [gate.plain() for gate in self.gates]])

    @property
    def frame(self) -> pd.DataFrame:
        """One row a gate: name, verdict, numbers, evidence, reasons, in words."""
        import pandas as pd

        rows = [
            (
                gate.name,
                "passed" if gate.passed else "refused",
                "; ".join(f"{name} {_text(value)}" for name, value in gate.numbers.items()),
                gate.evidence,
                "; ".join(gate.reasons),
            )
            for gate in self.gates
        ]
        return pd.DataFrame(rows, columns=["gate", "verdict", "numbers", "evidence", "reasons"])

    def __repr__(self) -> str:
        said = "passed" if self.passed else f"refused: {'; '.join(self.reasons) or 'nothing was judged'}"
        return f"<{self.stage} for model {self.model_id[:12]}: {said}>"

    def _repr_html_(self) -> str:
        head = f"<p>{html.escape(repr(self))}</p>"
        return head + self.frame.to_html(index=False)


def refused(name: str, evidence: str, *reasons: str) -> Gate:
    """A gate that cannot be judged, or that nothing needs numbers for."""
    return Gate(name=name, evidence=evidence, reasons=reasons)


def judged_once(gates: Sequence[Gate]) -> tuple[Gate, ...]:
    """The gates as they are; a name that stands twice is a defect of the caller."""
    names = [gate.name for gate in gates]
    if len(set(names)) != len(names):
        raise ValueError(f"gates stand twice: {', '.join(sorted({n for n in names if names.count(n) > 1}))}")
    return tuple(gates)


def _text(value: Number) -> str:
    return f"{round(value, 6):g}" if isinstance(value, float) else str(value)
