"""Who is registered, in which role, and who may act; every act is recorded with its signature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from workbench.core.ports import Event, Journal
from workbench.core.signed_acts import Act, KeyRecord, NoKeys, Signing, find_forgeries, subject_hash
from workbench.errors import ApprovalRequired, Refused, UsageError

ROLES: Final = ("viewer", "operator", "approver")
#: Roles that may resume, adopt, promote and approve.
ACTING_ROLES: Final = frozenset({"operator", "approver"})
APPROVER: Final = "approver"


class People:
    """The people of a desk, as the journal knows them.

    Parameters
    ----------
    journal : Journal
    signing : Signing, optional
        Makes the signature of whoever holds the key at hand; without it nothing is signed.
    config_hash : str
        Settings under which people decide; part of what they sign.
    signatures_required : bool
        Whether an act without a signature is refused.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        signing: Signing | None = None,
        config_hash: str = "",
        signatures_required: bool = False,
    ) -> None:
        self._journal = journal
        self.signing: Signing = signing or NoKeys()
        self._config_hash = config_hash
        self.signatures_required = signatures_required

    # --- who there is ----------------------------------------------------------------------------

    def add(
        self,
        person: str,
        *,
        role: str,
        passphrase_hash: str = "",
        public_key: str = "",
        key_source: str = "",
        by: str = "",
        reason: str = "",
    ) -> None:
        """Register a person who may look, operate or approve.

        Parameters
        ----------
        public_key, key_source : str
            Public half of the person's key in hex, and where the private half comes from.
        by, reason : str
            The approver who admits the person, and why; needed where signatures are, once somebody may
            act: nobody makes a second person of himself.

        Raises
        ------
        ApprovalRequired
            Nobody, or somebody who may not, admits the person.
        """
        if not person.strip() or person != person.strip():
            raise UsageError("a person needs a name without leading or trailing spaces")
        if role not in ROLES:
            raise UsageError(f"role {role!r} is unknown", next_step=f"choose one of {', '.join(ROLES)}")
        payload = {"person": person, "role": role, "passphrase_hash": passphrase_hash}
        key = _key_payload(person, public_key, key_source, by, reason)
        events = [Event("person.added", payload)]
        if public_key:
            events.append(Event("person.key_set", key))
        elif self.signatures_required and role in ACTING_ROLES:
            raise ApprovalRequired(
                f"{person} needs a key: this desk takes signed acts only",
                next_step="add --ssh-key FILE.pub, or --passphrase",
            )
        if self.signatures_required and self.acting():
            events += self._admit(by, reason, "add person", {**payload, **key})
        self._journal.commit(events)

    def set_key(self, person: str, *, public_key: str, key_source: str, by: str, reason: str) -> None:
        """Give a person a new key; the person signs with the old one, or an approver admits it."""
        self._known(person)
        payload = _key_payload(person, public_key, key_source, by, reason)
        if by == person:
            acts = self.require(by, reason, act="set key", subject=payload)
        else:
            acts = self._admit(by, reason, "set key", payload)
        self._journal.commit([*acts, Event("person.key_set", payload)])

    def revoke(self, person: str, *, by: str, reason: str) -> None:
        """End a person's right to act, at once and for good; what was done stands."""
        self._known(person)
        payload = {"person": person, "by": by, "reason": reason}
        if by == person:
            acts = self.require(by, reason, act="revoke", subject=payload)
        else:
            acts = self._admit(by, reason, "revoke", payload)
        self._journal.commit([*acts, Event("person.revoked", payload)])

    def _admit(self, by: str, reason: str, act: str, subject: Mapping[str, Any]) -> tuple[Event, ...]:
        """The act of somebody who decides about another person: an approver, where there is one."""
        approvers = [name for name in self.acting() if self.role(name) == APPROVER]
        return self.require(by, reason, act=act, subject=subject, role=APPROVER if approvers else "")

    def acting(self) -> tuple[str, ...]:
        """Names of all who may act now, sorted."""
        revoked = {row["person"] for row in self._journal.rows("person_keys") if row["revoked"]}
        rows = self._journal.rows("people")
        return tuple(
            sorted(r["person"] for r in rows if r["role"] in ACTING_ROLES and r["person"] not in revoked)
        )

    def role(self, person: str) -> str:
        """The role of a registered person."""
        return str(self._known(person)["role"])

    # --- who may act -----------------------------------------------------------------------------

    def check(self, person: str, reason: str, *, act: str = "act", role: str = "") -> None:
        """Refuse unless `person` may act and says why; the act itself is to be recorded by `require`."""
        with self.refusals_recorded(person, act):
            self._able(person, reason, role)

    @contextmanager
    def refusals_recorded(self, person: str, act: str, subject: str = "") -> Iterator[None]:
        """Record who was refused what and why, and refuse all the same."""
        try:
            yield
        except (Refused, UsageError) as refusal:
            payload = {"act": act, "subject": subject, "person": person, "why": refusal.message}
            self._journal.commit([Event("act.refused", payload)])
            raise

    def require(
        self,
        person: str,
        reason: str,
        *,
        act: str = "",
        subject: Mapping[str, Any] | None = None,
        role: str = "",
    ) -> tuple[Event, ...]:
        """Refuse, and record the refusal, unless `person` is registered to act and says why.

        Parameters
        ----------
        act : str
            What the person does, such as "resume".
        subject : mapping, optional
            Everything that the person agrees to; integers and words.
        role : str
            "approver" where the word of an operator is not enough.

        Returns
        -------
        tuple of Event
            The record of the act, signed when the person's key is at hand, for the transaction that does
            what the person decided; empty when no act is named.

        Raises
        ------
        ApprovalRequired
            The person is not registered or may not act, or acts are signed here and this one is not.
        Refused
            The key at hand is not the registered one.
        """
        with self.refusals_recorded(person, act or "act"):
            key = self._able(person, reason, role)
            return (self._record(person, reason, act, subject or {}, key),) if act else self._unnamed(person)

    def _able(self, person: str, reason: str, role: str) -> Mapping[str, Any]:
        """The key row of a person who may act."""
        if not reason.strip():
            raise UsageError(
                "a reason is required", next_step='add --reason "what changed, and why it is safe"'
            )
        held = self._known(person)["role"]
        if held not in ACTING_ROLES:
            raise ApprovalRequired(
                f"{person} is a {held} and may not act",
                next_step="ask an operator or an approver",
                person=person,
            )
        if role == APPROVER and held != APPROVER:
            raise ApprovalRequired(
                f"{person} is an {held}; this takes an approver",
                next_step="ask an approver: `workbench people list`",
                person=person,
            )
        key = self._key(person)
        if key["revoked"]:
            raise ApprovalRequired(
                f"{person} was revoked by {key['by']}: {key['reason']}",
                next_step="ask somebody who may act: `workbench people list`",
                person=person,
            )
        return key

    def _unnamed(self, person: str) -> tuple[Event, ...]:
        if self.signatures_required:
            raise self._unsigned(person)
        return ()

    def _record(
        self, person: str, reason: str, act: str, subject: Mapping[str, Any], key: Mapping[str, Any]
    ) -> Event:
        at_ns, nonce = self.signing.stamp()
        said = Act(act, subject_hash(subject), person, reason, self._config_hash, at_ns, nonce)
        public_key = str(key["public_key"])
        signature = ""
        if public_key:
            signature = self.signing.sign(
                said.text(), public_key=public_key, key_source=str(key["key_source"])
            )
        if self.signatures_required and not signature:
            raise self._unsigned(person)
        if signature and not self.signing.verify(said.text(), public_key=public_key, signature=signature):
            raise Refused(f"the signature of {person} does not hold", next_step="workbench people verify")
        return Event("act.recorded", {**act_payload(said), "signature": signature})

    def _unsigned(self, person: str) -> ApprovalRequired:
        has_key = bool(self._key(person)["public_key"])
        step = "give --passphrase-file or --key-file" if has_key else "workbench people key NAME"
        return ApprovalRequired(
            f"this desk takes signed acts only, and {person} did not sign", next_step=step, person=person
        )

    def _known(self, person: str) -> dict[str, Any]:
        rows = self._journal.rows("people", person=person)
        if rows:
            return rows[0]
        known = ", ".join(sorted(str(row["person"]) for row in self._journal.rows("people"))) or "nobody yet"
        raise ApprovalRequired(
            f"{person!r} is not registered (registered: {known})",
            next_step="workbench people add NAME --role operator",
            person=person,
        )

    def _key(self, person: str) -> Mapping[str, Any]:
        rows = self._journal.rows("person_keys", person=person)
        return rows[0] if rows else {"public_key": "", "key_source": "", "revoked": False}

    # --- what was signed -------------------------------------------------------------------------

    def proves(self, payload: Mapping[str, Any]) -> bool:
        """Whether a recorded act is signed with the key that its person has now, and may act."""
        key = self._key(str(payload["person"]))
        return (
            bool(payload["signature"])
            and not key["revoked"]
            and self.signing.verify(
                act_of(payload).text(), public_key=str(key["public_key"]), signature=str(payload["signature"])
            )
        )

    def verify(self) -> tuple[int, int, tuple[str, ...]]:
        """How many acts are signed and unsigned, and a sentence for each signature that does not hold."""
        told: list[KeyRecord | tuple[int, Act, str]] = []
        signed = unsigned = 0
        for event in self._journal.events(kinds=("person.key_set", "person.revoked", "act.recorded")):
            if event.kind == "act.recorded":
                signature = str(event.payload["signature"])
                signed, unsigned = signed + bool(signature), unsigned + (not signature)
                told.append((event.seq, act_of(event.payload), signature))
            else:
                told.append(KeyRecord(event.payload["person"], str(event.payload.get("public_key", ""))))
        return signed, unsigned, find_forgeries(told, self.signing)


def act_payload(act: Act) -> dict[str, Any]:
    """The fields of an act as the journal keeps them."""
    return {
        "act": act.kind, "subject_hash": act.subject_hash, "person": act.person, "reason": act.reason,
        "under": act.config_hash, "signed_at_ns": act.at_ns, "nonce": act.nonce,
    }  # fmt: skip


def act_of(payload: Mapping[str, Any]) -> Act:
    """The act that a recorded payload describes."""
    return Act(
        kind=str(payload["act"]), subject_hash=str(payload["subject_hash"]), person=str(payload["person"]),
        reason=str(payload["reason"]), config_hash=str(payload["under"]),
        at_ns=int(payload["signed_at_ns"]), nonce=str(payload["nonce"]),
    )  # fmt: skip


def _key_payload(person: str, public_key: str, key_source: str, by: str, reason: str) -> dict[str, Any]:
    return {"person": person, "public_key": public_key, "key_source": key_source, "by": by, "reason": reason}
