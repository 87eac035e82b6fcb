"""Options that several commands share, each declared once, and the frame of a command that a person signs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec, TypedDict

import typer
from rich.console import Console

from workbench.bootstrap.signing import Credentials
from workbench.cli.console import credentials, emit
from workbench.config import Settings, load_settings

__all__ = [
    "DEFAULT_CONFIG", "Act", "AsJson", "Config", "Confirm", "JobName", "ModelId", "PassphraseFile", "Person",
    "Reason", "SshKey", "Typed", "signed",
]  # fmt: skip
P = ParamSpec("P")

DEFAULT_CONFIG = Path("workbench.toml")
Config = Annotated[Path, typer.Option("--config", "-c", help="Settings file of the desk.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Person = Annotated[str, typer.Option("--person", "-p", help="Registered person who takes this decision.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why, in words that make sense in a year.")]
PassphraseFile = Annotated[
    str,
    typer.Option("--passphrase-file", help="File or fd:N whose first line is the passphrase to sign with."),
]
SshKey = Annotated[Path | None, typer.Option("--ssh-key", help="Private OpenSSH key to sign with.")]
ModelId = Annotated[str, typer.Argument(help="Id of the model, as `workbench candidates` shows it.")]
JobName = Annotated[str, typer.Argument(help="Name of the job, as `workbench jobs list` shows it.")]
Typed = Annotated[
    str, typer.Option("--typed", help="Alone on a desk: the subject, typed again, 15 minutes later.")
]
Confirm = Annotated[str, typer.Option("--confirm", help="Alone on a desk: what is confirmed, word for word.")]


class Said(TypedDict):
    """Who decides, why, and what it is signed with, as the functions behind the commands take it."""

    person: str
    reason: str
    credentials: Credentials


@dataclass(frozen=True)
class Act:
    """What a person decides by one command.

    Attributes
    ----------
    settings : Settings
        The desk that it is about.
    person, reason : str
        Who decides, and why.
    """

    settings: Settings
    person: str
    reason: str
    passphrase_file: str
    ssh_key: Path | None
    as_json: bool

    @cached_property
    def said(self) -> Said:
        """Person, reason and key; at a terminal the passphrase is asked for at the first use."""
        key = credentials(self.settings, self.passphrase_file, self.ssh_key)
        return {"person": self.person, "reason": self.reason, "credentials": key}

    def emit(self, payload: dict[str, Any], words: str) -> None:
        """Print the payload as one JSON object, or the words for people."""

        def text(out: Console) -> None:
            out.print(words, markup=False)

        emit(payload, self.as_json, text)


def signed(command: Callable[Concatenate[Act, P], None]) -> Callable[..., None]:
    """The command with the options by which a person decides, which it gets as one `Act`.

    Its own options stand between --reason and --passphrase-file, those without a default before --person.
    """

    @functools.wraps(command)
    def framed(
        *, person: str, reason: str, passphrase_file: str, ssh_key: Path | None, config: Path, as_json: bool,
        **own: Any,
    ) -> None:  # fmt: skip
        act = Act(load_settings(str(config)), person, reason, passphrase_file, ssh_key, as_json)
        command(act, **own)  # type: ignore[call-arg]

    asked = _options(command)[1:]
    head = [one for one in asked if one.default is inspect.Parameter.empty]
    rest = [one for one in asked if one not in head]
    frame = {one.name: one for one in _options(_frame)}
    decided = [frame.pop("person"), frame.pop("reason")]
    whole = [
        one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*head, *decided, *rest, *frame.values())
    ]
    framed.__signature__ = inspect.Signature(whole)  # type: ignore[attr-defined]
    framed.__annotations__ = {one.name: one.annotation for one in whole}
    return framed


def _frame(
    person: Person,
    reason: Reason,
    passphrase_file: PassphraseFile = "",
    ssh_key: SshKey = None,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Declares what every signed command has; never called."""


def _options(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(function, eval_str=True).parameters.values())
