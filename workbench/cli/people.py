"""`workbench people`: who may look, operate and approve, with which key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.bootstrap import open_workbench, signing
from workbench.cli.console import credentials, emit, rows_table
from workbench.cli.options import DEFAULT_CONFIG, Act, AsJson, Config, PassphraseFile, Person, Reason, signed
from workbench.config import load_settings
from workbench.errors import Refused

app = typer.Typer(no_args_is_help=True, help="Register people, their roles and keys; check what they signed.")

Name = Annotated[str, typer.Argument(help="Name by which decisions are recorded.")]
NewSshKey = Annotated[
    Path | None, typer.Option("--ssh-key", help="The person's OpenSSH public key file, type ed25519.")
]
NewPassphrase = Annotated[bool, typer.Option("--passphrase", help="Ask for a passphrase and make its key.")]
NewPassphraseFile = Annotated[
    str, typer.Option("--new-passphrase-file", help="File or fd:N with the new passphrase, for no prompt.")
]
SignFile = Annotated[
    Path | None, typer.Option("--sign-with", help="Private OpenSSH key of the one who decides this.")
]


@app.command("add")
def add(
    name: Name,
    role: Annotated[str, typer.Option("--role", help="viewer, operator or approver.")],
    ssh_key: NewSshKey = None,
    passphrase: NewPassphrase = False,
    new_passphrase_file: NewPassphraseFile = "",
    by: Annotated[str, typer.Option("--by", help="Approver who admits the person, where signed.")] = "",
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why, in words.")] = "",
    passphrase_file: PassphraseFile = "",
    sign_with: SignFile = None,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Register a person; operators and approvers may resume, adopt and promote."""
    settings = load_settings(str(config))
    key = signing.new_key(ssh_key=ssh_key, passphrase=_new_passphrase(passphrase, new_passphrase_file))
    signing.add_person(
        settings, name, role=role, key=key, by=by, reason=reason,
        credentials=credentials(settings, passphrase_file, sign_with),
    )  # fmt: skip
    payload = {"person": name, "role": role, "key": key.key_source.split(" ")[0]}
    emit(payload, as_json, lambda out: out.print(f"{name} is registered as {role}", markup=False))


@app.command("key")
def key(
    name: Name,
    person: Person,
    reason: Reason,
    ssh_key: NewSshKey = None,
    passphrase: NewPassphrase = False,
    new_passphrase_file: NewPassphraseFile = "",
    passphrase_file: PassphraseFile = "",
    sign_with: SignFile = None,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Give a person a new key, on the person's own word or an approver's."""
    settings = load_settings(str(config))
    made = signing.new_key(ssh_key=ssh_key, passphrase=_new_passphrase(passphrase, new_passphrase_file))
    signing.set_key(
        settings, name, key=made, by=person, reason=reason,
        credentials=credentials(settings, passphrase_file, sign_with),
    )  # fmt: skip
    payload = {"person": name, "key": made.key_source.split(" ")[0], "by": person}
    emit(payload, as_json, lambda out: out.print(f"{name} has a new key, by {person}", markup=False))


@app.command("revoke")
@signed
def revoke(act: Act, name: Name) -> None:
    """End a person's right to act, for good; what was done stands."""
    signing.revoke(act.settings, name, by=act.person, reason=act.reason, credentials=act.said["credentials"])
    act.emit({"person": name, "by": act.person}, f"{name} may not act any more, by {act.person}")


@app.command("list")
def show(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Everybody who is registered, with the role."""
    frame = open_workbench(load_settings(str(config))).views.people()
    rows = frame[["person", "role"]].to_dict("records")
    listed = [(row["person"], row["role"]) for row in rows]
    emit({"people": rows}, as_json, lambda out: out.print(rows_table("people", ["person", "role"], listed)))


@app.command("verify")
def verify(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Check every signature against the key its person had then; exit code 3 when one does not hold."""
    found = signing.verify(load_settings(str(config)))
    payload = {"signed": found.signed, "unsigned": found.unsigned, "problems": list(found.problems)}
    text = [f"{found.signed} signed acts, {found.unsigned} unsigned", *found.problems]
    emit(payload, as_json, lambda out: out.print("\n".join(text), markup=False))
    if found.problems:
        raise typer.Exit(Refused.exit_code)


def _new_passphrase(ask: bool, source: str) -> str:
    if source:
        return signing.read_passphrase(source)
    return str(typer.prompt("New passphrase", hide_input=True, confirmation_prompt=True)) if ask else ""
