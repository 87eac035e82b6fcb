"""Acts of people: the text that a person signs, and what is asked of signatures.

An act names its kind, the hash of its subject, the person, the reason, the settings it was decided under,
its moment and a number used once. The journal keeps all of it beside the signature, so anybody can check
later who decided what, with nothing but the journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from workbench.core.canonical import canonical_json, sha256_of


@dataclass(frozen=True)
class Act:
    """What one person decided.

    Attributes
    ----------
    kind : str
        What was done, such as "resume" or "approve order".
    subject_hash : str
        `subject_hash` of everything that the person agreed to.
    person, reason : str
        Who, and why.
    config_hash : str
        Settings under which it was decided.
    at_ns : int
        Wall-clock time, UTC nanoseconds.
    nonce : str
        Used once: the same act cannot be recorded twice.

    Examples
    --------
    >>> Act("resume", subject_hash({"epoch": 3}), "ada", "checked", "c0ffee", 7, "n1").text()[:20]
    '{"at_ns":7,"config_h'
    """

    kind: str
    subject_hash: str
    person: str
    reason: str
    config_hash: str
    at_ns: int
    nonce: str

    def text(self) -> str:
        """The canonical text that is signed."""
        return canonical_json(self)


def subject_hash(subject: Mapping[str, Any]) -> str:
    """Hex sha256 of what an act is about, as canonical text."""
    return sha256_of(subject)


class Signing(Protocol):
    """Signatures of people: checks everybody's, makes those of whoever holds the key at hand."""

    def stamp(self) -> tuple[int, str]:
        """Wall-clock time in UTC nanoseconds and a number used once."""
        ...

    def sign(self, text: str, *, public_key: str, key_source: str) -> str:
        """The signature in hex, "" when no key is at hand.

        Raises
        ------
        Refused
            The key at hand is not the one registered.
        """
        ...

    def verify(self, text: str, *, public_key: str, signature: str) -> bool:
        """Whether the holder of the key signed exactly this text."""
        ...


class NoKeys:
    """Stands in where nothing is signed: no key is at hand and no signature is believed."""

    def stamp(self) -> tuple[int, str]:
        """No time and no number: the journal's own time says when."""
        return 0, ""

    def sign(self, text: str, *, public_key: str, key_source: str) -> str:
        """No signature."""
        return ""

    def verify(self, text: str, *, public_key: str, signature: str) -> bool:
        """No: what cannot be checked is not believed."""
        return False


@dataclass(frozen=True)
class KeyRecord:
    """A person's key as one event of the journal changed it; an empty key ends the right to act."""

    person: str
    public_key: str


def find_forgeries(acts: Iterable[KeyRecord | tuple[int, Act, str]], signing: Signing) -> tuple[str, ...]:
    """One sentence for each signed act that the key in force then does not prove, or that came twice.

    Parameters
    ----------
    acts : iterable of KeyRecord or (seq, Act, signature)
        In the journal's order; an empty signature is an unsigned act, which proves nothing either way.
    signing : Signing
    """
    keys: dict[str, str] = {}
    seen: set[str] = set()
    found: list[str] = []
    for item in acts:
        if isinstance(item, KeyRecord):
            keys[item.person] = item.public_key
            continue
        seq, act, signature = item
        if not signature:
            continue
        where = f"event {seq}: {act.kind} by {act.person}"
        if not (key := keys.get(act.person, "")):
            found.append(f"{where} is signed, but {act.person} had no key then")
        elif not signing.verify(act.text(), public_key=key, signature=signature):
            found.append(f"{where} is not signed with the key of {act.person}")
        elif act.nonce in seen:
            found.append(f"{where} was recorded twice")
        seen.add(act.nonce)
    return tuple(found)
