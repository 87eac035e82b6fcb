"""Collect values from the file, the environment and overrides; refuse what is unknown or contradicts."""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from workbench.config.secret import Secret, secret_in, shown
from workbench.config.settings import Leaf, leaves, secret_keys, sections
from workbench.core.types import Mode
from workbench.errors import ConfigError
from workbench.redaction import MASK

PREFIX = "WORKBENCH_"
#: Variables of the process that are not settings.
RESERVED = frozenset(
    {"WORKBENCH_TICKET", "WORKBENCH_RUN", "WORKBENCH_SECRETS_DIR", "WORKBENCH_SECRETS_KEYRING"}
)
OVERRIDE = "override"
#: Keys in which a later source may differ from an earlier one; all others must agree.
OVERRIDABLE = frozenset({"desk.path", "mode"})


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in the configuration.

    Attributes
    ----------
    key : str
        The setting, or the name that is not one.
    source : str
        File, environment variable or "override".
    value : str
        The value as it may be shown; secrets masked.
    reason : str
        What is wrong.
    next_step : str
        What to do.
    """

    key: str
    source: str
    value: str
    reason: str
    next_step: str

    def __str__(self) -> str:
        value = f" = {self.value}" if self.value else ""
        return f"{self.key}{value} (from {self.source}): {self.reason}; {self.next_step}"


@dataclass(frozen=True)
class Found:
    """A value that one source sets for one key."""

    key: str
    value: Any
    source: str


def read_toml(path: Path) -> dict[str, Any]:
    """The file's content as nested mappings.

    Raises
    ------
    ConfigError
        There is no such file, it cannot be read, or it is not TOML.
    """
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise ConfigError(
            f"there is no configuration file {path}",
            next_step="run `workbench init` to write one, or name another with --config",
            path=str(path),
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}", next_step="make the file readable", path=str(path)
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} is not TOML: {error}", next_step="correct the file at that place", path=str(path)
        ) from None


def from_mapping(content: Mapping[str, Any], source: str, problems: list[Problem]) -> list[Found]:
    """Values of nested or dotted names; names that are no setting become problems."""
    found: list[Found] = []
    for key, value in _flat(content, ""):
        if key.split(".")[0] == "secrets":
            problems.append(_misplaced_secret(key, source))
        elif key in leaves():
            _append(found, leaves()[key], value, source, problems)
        elif key in sections():
            problems.append(
                Problem(
                    key, source, shown(value, key=key), "is a section, not a value", f"set keys below [{key}]"
                )
            )
        else:
            problems.append(_unknown(key, source, value))
    return found


def from_environment(environ: Mapping[str, str], problems: list[Problem]) -> list[Found]:
    """Values of ``WORKBENCH_SECTION__KEY`` variables; unknown ones become problems."""
    names = {variable(key): key for key in leaves()}
    secrets = {variable(key) for key in secret_keys()}
    found: list[Found] = []
    for name in sorted(environ):
        if not name.upper().startswith(PREFIX) or name in RESERVED or name in secrets:
            continue
        if name not in names:
            known = [*names, *secrets, *RESERVED]
            nearest = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.6)
            advice = f"did you mean {nearest[0]}? Otherwise unset it" if nearest else "unset it"
            problems.append(Problem(name, "environment", MASK, "is not a setting", advice))
            continue
        leaf = leaves()[names[name]]
        _append(found, leaf, _from_text(leaf, environ[name]), name, problems)
    return found


def read_secrets(
    environ: Mapping[str, str], problems: list[Problem]
) -> tuple[dict[str, Secret], dict[str, str]]:
    """Secrets by field name, and the source of each: environment, secrets folder, keyring.

    The folder is named by ``WORKBENCH_SECRETS_DIR``; a secret is a file of its name, such as ``venue_key``.
    The keyring is asked only when ``WORKBENCH_SECRETS_KEYRING`` names a service, with the secret's name as
    the user.
    """
    found: dict[str, Secret] = {}
    sources: dict[str, str] = {}
    folder = environ.get("WORKBENCH_SECRETS_DIR", "")
    if folder and not Path(folder).is_dir():
        problems.append(
            Problem(
                "WORKBENCH_SECRETS_DIR",
                "environment",
                shown(folder),
                "is not a folder",
                "create it or unset it",
            )
        )
        folder = ""
    names = [key.partition(".")[2] for key in secret_keys()]
    kept = _from_keyring(environ.get("WORKBENCH_SECRETS_KEYRING", ""), names, problems)
    for key, name in zip(secret_keys(), names, strict=True):
        candidates = {variable(key): environ.get(variable(key)), f"keyring, user {name}": kept.get(name)}
        if folder and (Path(folder) / name).is_file():
            candidates[str(Path(folder) / name)] = (Path(folder) / name).read_text(encoding="utf-8").strip()
        given = {source: text for source, text in candidates.items() if text is not None}
        if any(not text for text in given.values()):
            problems.append(Problem(key, ", ".join(given), "", "is empty", "set the secret or remove it"))
        elif len(set(given.values())) > 1:
            problems.append(
                Problem(
                    key, " and ".join(given), MASK, "two sources give different secrets", "remove one of them"
                )
            )
        elif given:
            source, text = next(iter(given.items()))
            found[name], sources[key] = Secret(text), source
    return found, sources


def _from_keyring(service: str, names: Iterable[str], problems: list[Problem]) -> dict[str, str]:
    """The secrets that the keyring keeps for the service; a keyring that does not answer is a problem."""
    if not service:
        return {}
    import keyring  # half a second of looking for backends, only for those who asked for it
    from keyring.errors import KeyringError

    try:
        kept = {name: keyring.get_password(service, name) for name in names}
    except (KeyringError, OSError, ImportError, RuntimeError) as error:
        step = "unlock or install a keyring, or unset the variable and use the secrets folder"
        problems.append(
            Problem(
                "WORKBENCH_SECRETS_KEYRING", "environment", shown(service),
                f"names a keyring that does not answer ({type(error).__name__})", step,
            )
        )  # fmt: skip
        return {}
    return {name: text for name, text in kept.items() if text is not None}


def merge(found: list[Found], problems: list[Problem]) -> dict[str, Found]:
    """The one value of each key; sources that disagree become problems unless the key is overridable."""
    chosen: dict[str, Found] = {}
    for item in found:
        earlier = chosen.get(item.key)
        if item.key == "mode" and item.source == OVERRIDE and item.value is not Mode.REPLAY:
            agreed = earlier is not None and earlier.value is item.value
            if not agreed:
                problems.append(
                    Problem(
                        "mode", OVERRIDE, shown(item.value), "an override may only lower the mode to replay",
                        "set the mode in the file",
                    )
                )  # fmt: skip
                continue
        if earlier is not None and earlier.value != item.value and not _may_override(item):
            problems.append(
                Problem(
                    item.key, item.source, shown(item.value, key=item.key),
                    f"{earlier.source} sets {shown(earlier.value, key=item.key)}",
                    "make the two agree or remove one",
                )
            )  # fmt: skip
            continue
        if earlier is None or earlier.value != item.value:
            chosen[item.key] = item
    return chosen


def variable(key: str) -> str:
    """Name of the environment variable of a dotted key."""
    return PREFIX + key.replace(".", "__").upper()


def _may_override(item: Found) -> bool:
    return item.key in OVERRIDABLE and (item.key != "mode" or item.value is Mode.REPLAY)


def _flat(content: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and key not in leaves() and (value or key in sections()):
            yield from _flat(value, f"{key}.")
        else:
            yield key, value


def _append(found: list[Found], leaf: Leaf, value: Any, source: str, problems: list[Problem]) -> None:
    """Add the typed value, or say why it has the wrong type."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if kind := secret_in(str(value)):
        problems.append(
            Problem(
                leaf.key, source, MASK, f"holds {kind}",
                "remove it, rotate the secret, and give it by the environment or the secrets folder",
            )
        )  # fmt: skip
        return
    if leaf.key == "strategy" and isinstance(value, (list, tuple)):
        problems.append(
            Problem(
                leaf.key, source, shown(value), "one account runs one strategy; two would share positions",
                "name one strategy, and give the other its own account and desk",
            )
        )  # fmt: skip
        return
    try:
        typed = _adapter(leaf.kind).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        reason = error.errors(include_url=False, include_context=False)[0]["msg"]
        problems.append(
            Problem(leaf.key, source, shown(value, key=leaf.key), _lowered(reason), _example(leaf))
        )
    except (TypeError, ValueError):
        problems.append(
            Problem(leaf.key, source, shown(value, key=leaf.key), "has a type no setting has", _example(leaf))
        )
    else:
        found.append(Found(leaf.key, typed, source))


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind, config=ConfigDict(allow_inf_nan=False))


def _from_text(leaf: Leaf, text: str) -> Any:
    """A variable's text as the value that the file would hold."""
    if leaf.kind is str or leaf.kind is Mode:
        return text
    try:
        return json.loads(text)
    except ValueError:
        pass
    if leaf.kind == tuple[str, ...]:
        return [part.strip() for part in text.split(",")] if text.strip() else []
    return text


def _example(leaf: Leaf) -> str:
    if leaf.required:
        return f"set {leaf.key} as the settings reference says"
    return f"write it like {leaf.default if isinstance(leaf.default, (int, float)) else shown(leaf.default)}"


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _misplaced_secret(key: str, source: str) -> Problem:
    return Problem(
        key, source, MASK, "secrets are read from the environment, the secrets folder or the keyring only",
        f"remove it and set {variable(key)}, or a file {key.partition('.')[2]!r} in WORKBENCH_SECRETS_DIR",
    )  # fmt: skip


def _unknown(key: str, source: str, value: Any) -> Problem:
    """A name that is no setting, with the nearest one that is; text is masked, for it may be a secret."""
    tail = key.rpartition(".")[2]
    by_tail = {known.rpartition(".")[2]: known for known in leaves()}
    nearest = difflib.get_close_matches(key, [*leaves(), *sections()], n=1, cutoff=0.75)
    if not nearest:
        nearest = [by_tail[name] for name in difflib.get_close_matches(tail, by_tail, n=1, cutoff=0.75)]
    if not nearest:
        nearest = difflib.get_close_matches(key, leaves(), n=1, cutoff=0.5)
    advice = f"did you mean {nearest[0]}? Otherwise remove it" if nearest else "remove it"
    display = shown(value, key=key) if isinstance(value, (bool, int, float)) else MASK
    return Problem(key, source, display, "is not a setting", advice)
