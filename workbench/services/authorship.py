"""Who trained a model: said and signed at its training, part of its manifest, asked for at its promotion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workbench.core.gates import Gate
from workbench.core.manifest import ModelManifest
from workbench.core.ports import Event, Journal
from workbench.errors import ApprovalRequired
from workbench.services.people import People
from workbench.services.promotion import plain_manifest

#: Author of what the declared job trains: its notebook and parameters are approved, and nobody chose.
UNATTENDED: Final = "job train_candidate"


@dataclass(frozen=True)
class Author:
    """Whose candidate a training makes.

    Attributes
    ----------
    name : str, default ""
        A registered person, or `UNATTENDED`; "" = nobody says, and no stage that takes two people accepts it.
    people : People or None, default None
        Where the person acts and signs; None for what runs unattended.
    """

    name: str = ""
    people: People | None = None

    def check(self) -> None:
        """Refuse a person who may not act, before anything is computed."""
        if self.people is not None:
            self.people.check(self.name, _REASON, act=_ACT)

    def signs(self, manifest: ModelManifest) -> tuple[Event, ...]:
        """The act of training this file, for the transaction that registers it."""
        if self.people is None:
            return ()
        subject = {"content_sha256": manifest.content_sha256, "author": self.name}
        return self.people.require(self.name, _REASON, act=_ACT, subject=subject)


_ACT, _REASON = "train", "trained this candidate"
NOT_SAID: Final = Author()


def authors_of(journal: Journal, manifest: ModelManifest) -> tuple[str, ...]:
    """Everybody under whose name this very file was registered, sorted.

    Whoever has a colleague train the same again is still an author of it.
    """
    manifests = [plain_manifest(row["manifest"]) for row in journal.rows("models")]
    same = {one.get("author", "") for one in manifests if one["content_sha256"] == manifest.content_sha256}
    return tuple(sorted((same | {manifest.author}) - {""}))


def author_gate(journal: Journal, manifest: ModelManifest, *, needed: bool) -> Gate:
    """Whether it is on record who trained the model, where somebody else has to agree."""
    authors = authors_of(journal, manifest)
    reasons = ("nobody is on record as its author: train it again with --person",)
    return Gate(
        name="author",
        evidence="author in the manifests of this very file",
        numbers={"author": ", ".join(authors) or "not said"},
        reasons=reasons if needed and not manifest.author else (),
    )


def require_another(
    journal: Journal, manifest: ModelManifest, subject: str, *, person: str, asked_by: str
) -> None:
    """Refuse an author's word as the second one: somebody else has to agree to the model.

    Alone on the desk the author confirms what he asked for himself, which `TwoPeople` delays and records.

    Raises
    ------
    ApprovalRequired
        The person trained it.
    """
    if person != asked_by and person in authors_of(journal, manifest):
        raise ApprovalRequired(
            f"{person} trained it and cannot confirm to {subject}",
            next_step="somebody who did not train it confirms",
            person=person,
        )
