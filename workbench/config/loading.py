"""Load the settings of a desk: file, then environment, then overrides, all errors at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from workbench.config.rules import check_together, check_values
from workbench.config.sections import Secrets
from workbench.config.settings import (
    LOCATION_KEYS,
    RecordedSettings,
    Settings,
    build,
    leaves,
    secret_keys,
)
from workbench.config.sources import (
    OVERRIDE,
    Found,
    Problem,
    from_environment,
    from_mapping,
    merge,
    read_secrets,
    read_toml,
    variable,
)
from workbench.errors import ConfigError


def load_settings(
    path: str | os.PathLike[str] | None = "workbench.toml",
    *,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    keys_needed: bool = True,
) -> Settings:
    """The typed, frozen settings of a desk, with the source of each value.

    Parameters
    ----------
    path : str, path or None, default "workbench.toml"
        The configuration file. None = no file: defaults, environment and overrides only, and
        relative paths start from the working folder.
    overrides : mapping, optional
        Values for this call by dotted key or nested; they must agree with the file and the
        environment, except ``desk.path``, and ``mode``, which may only be lowered to "replay".
    environ : mapping of str to str, optional
        Environment variables; the process's own when not given.
    keys_needed : bool, default True
        Whether a mode that talks to a venue outside must find its keys. False for what only reads the desk: a
        notebook, or the kernel of a job that gets no keys. Such settings cannot connect to the venue.

    Returns
    -------
    Settings
        With `config_hash`, `table`, `desk_path` and one attribute for each section.

    Raises
    ------
    ConfigError
        Anything is wrong; `problems` lists every error with key, source, value and next step.

    Examples
    --------
    >>> load_settings(None, overrides={"account": "demo", "strategy": "trend", "universe": ["IBM"],
    ...                                "seed": 7}, environ={}).mode.value
    'replay'
    """
    environ = os.environ if environ is None else environ
    problems: list[Problem] = []
    found: list[Found] = []
    folder = Path.cwd()
    if path is not None:
        folder = Path(path).absolute().parent
        found += from_mapping(read_toml(Path(path)), os.fspath(path), problems)
    found += from_environment(environ, problems)
    found += from_mapping(overrides or {}, OVERRIDE, problems)
    secrets, secret_sources = read_secrets(environ, problems)
    present = frozenset(secrets) if keys_needed else frozenset(item.name for item in fields(Secrets))
    values, sources = _values(found, present, problems)
    if problems:
        raise _config_error(problems, path)
    return Settings(
        **build(values),
        secrets=Secrets(**secrets),
        sources={**sources, **secret_sources},
        folder=folder,
        file=None if path is None else Path(path).absolute(),
    )


def settings_of_record(
    config: Mapping[str, Any], config_hash: str, *, desk: Settings, changes: Mapping[str, Any] | None = None
) -> tuple[RecordedSettings, tuple[str, ...]]:
    """The settings that a journal recorded, for the desk as it lies on this machine.

    Parameters
    ----------
    config : mapping
        Sections and keys as `Settings.to_json` wrote them then.
    config_hash : str
        Their hash then; it stays the hash of the result.
    desk : Settings
        Where the desk is now: locations and secrets are taken from here.
    changes : mapping of str to object, optional
        Other values by dotted key, for a hypothetical run.

    Returns
    -------
    settings : RecordedSettings
    unknown : tuple of str
        Recorded keys that this version of the code does not have; they are left out.

    Raises
    ------
    ConfigError
        A value is refused, or there is no key of a name in `changes`.
    """
    problems: list[Problem] = []
    flat = _flat(config)
    unknown = tuple(sorted(set(flat) - set(leaves())))
    known = {key: value for key, value in flat.items() if key in leaves() and key not in (changes or {})}
    here = {key: desk.value(key) for key in LOCATION_KEYS}
    found = from_mapping({**here, **known, **(changes or {})}, "the record", problems)
    values, sources = _values(found, frozenset(key.partition(".")[2] for key in secret_keys()), problems)
    if problems:
        raise _config_error(problems, "the record")
    settings = RecordedSettings(
        **build(values), secrets=desk.secrets, sources=sources, folder=desk.folder, file=desk.file,
        recorded_hash=config_hash,
    )  # fmt: skip
    return settings, unknown


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        key = f"{prefix}{name}"
        found |= _flat(value, f"{key}.") if isinstance(value, Mapping) else {key: value}
    return found


def _values(
    found: list[Found], secrets: frozenset[str], problems: list[Problem]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The value of every key with its source; what is wrong is added to `problems`."""
    chosen = merge(found, problems)
    refused = {problem.key for problem in problems}
    sources = {key: item.source for key, item in chosen.items()}
    values: dict[str, Any] = {}
    for key, leaf in leaves().items():
        if key in chosen:
            values[key] = chosen[key].value
        elif key in refused:
            continue  # named already
        elif leaf.required:
            advice = f"set {key} in the file, or {variable(key)}"
            problems.append(Problem(key, "nowhere", "", "has no value and no default", advice))
        else:
            values[key] = leaf.default
    values, wrong = check_values(values, sources, frozenset(chosen))
    problems += wrong
    problems += check_together(values, sources, secrets)
    return values, sources


def _config_error(problems: list[Problem], path: str | os.PathLike[str] | None) -> ConfigError:
    count = f"{len(problems)} errors" if len(problems) > 1 else "1 error"
    where = f" of {os.fspath(path)}" if path is not None else ""
    lines = "".join(f"\n  - {problem}" for problem in problems)
    return ConfigError(
        f"{count} in the configuration{where}:{lines}",
        next_step="correct what is listed, then run `workbench config check`",
        problems=tuple(problems),
    )
