"""The typed, frozen settings of one desk: their hash, their provenance and the list of their keys."""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, get_type_hints

from workbench.config.scale import ScaleSettings
from workbench.config.secret import shown
from workbench.config.sections import (
    BudgetSettings,
    DeskSettings,
    JournalSettings,
    LeaseSettings,
    ModelSettings,
    PeopleSettings,
    Secrets,
    SessionSettings,
    VenueSettings,
)
from workbench.config.watching import (
    AlertsSettings,
    DashboardsSettings,
    MonitoringSettings,
    SupervisionSettings,
    WatchdogSettings,
)
from workbench.core.approvals import ApprovalRules
from workbench.core.canonical import canonical_json, sha256_of
from workbench.core.costs import FeeSchedule, PriorCost
from workbench.core.fills import FillParams
from workbench.core.policy import PolicyParams
from workbench.core.pretrade import Limits
from workbench.core.surveillance import SurveillanceLimits
from workbench.core.types import Mode

#: Keys that say where things are, who is told or what is late, not what the desk does: a desk that moved is
#: the same desk.
LOCATION_KEYS = frozenset(
    {"desk.path", "journal.url", "venue.data_url", "venue.stream_url", "venue.admin_url"}
    | {"monitoring.health_port"}
    | {f"alerts.{item.name}" for item in dataclasses.fields(AlertsSettings)}
    | {f"dashboards.{item.name}" for item in dataclasses.fields(DashboardsSettings)}
    | {f"scale.{item.name}" for item in dataclasses.fields(ScaleSettings)}
    | {f"budgets.{item.name}" for item in dataclasses.fields(BudgetSettings)}
)
_NOT_SETTINGS = frozenset({"secrets", "sources", "folder", "file"})
_REQUIRED: Any = dataclasses.MISSING


@dataclass(frozen=True)
class Settings:
    """Every setting of a desk, validated, with the source of each value.

    Attributes
    ----------
    mode : Mode
        Where orders go: replay, shadow, paper or live.
    account : str
        Name of the account in the journal.
    strategy : str
        Name of the strategy; version 1 runs one for each account.
    universe : tuple of str
        Symbols the desk may trade; sorted, unique, opaque, not empty.
    seed : int
        Seed of everything that draws random numbers.
    desk, journal, session, venue, people, model, lease : dataclasses
        The sections of `workbench.config.sections`.
    supervision, dashboards, alerts, watchdog, monitoring, budgets, scale : dataclasses
        The sections of `workbench.config.sections`.
    approvals, limits, policy, prior_cost, fees, fills, surveillance : dataclasses
        Parameters of the kernels, exactly as they are called with them.
    secrets : Secrets
        Not part of the hash, of any file or of any output.
    sources : mapping of str to str
        For each key "default", the path of the file, the environment variable or "override".
    folder : Path
        Absolute folder that relative paths start from.
    file : Path or None
        Absolute path of the file that was read; None when there was none.
    """

    mode: Mode
    account: str
    strategy: str
    universe: tuple[str, ...]
    seed: int
    desk: DeskSettings
    journal: JournalSettings
    session: SessionSettings
    venue: VenueSettings
    approvals: ApprovalRules
    people: PeopleSettings
    model: ModelSettings
    lease: LeaseSettings
    supervision: SupervisionSettings
    dashboards: DashboardsSettings
    alerts: AlertsSettings
    watchdog: WatchdogSettings
    monitoring: MonitoringSettings
    budgets: BudgetSettings
    scale: ScaleSettings
    limits: Limits
    policy: PolicyParams
    prior_cost: PriorCost
    fees: FeeSchedule
    fills: FillParams
    surveillance: SurveillanceLimits
    secrets: Secrets = field(repr=False, compare=False)
    sources: Mapping[str, str] = field(repr=False, compare=False)
    folder: Path = field(repr=False, compare=False)
    file: Path | None = field(repr=False, compare=False, default=None)

    @property
    def signatures_required(self) -> bool:
        """Whether an act without a signature is refused: always where real money is."""
        return self.people.signatures_required or self.mode is Mode.LIVE

    @property
    def desk_path(self) -> Path:
        """Absolute folder of the desk."""
        return (self.folder / self.desk.path).resolve()

    def value(self, key: str) -> Any:
        """The value of a dotted key, such as "limits.max_order_shares"."""
        found: Any = self
        for part in key.split("."):
            found = getattr(found, part)
        return found

    def to_json(self) -> str:
        """Canonical JSON of all settings without secrets and without locations; the hash's input."""
        return canonical_json(self._hashed())

    @cached_property
    def config_hash(self) -> str:
        """Hex sha256 of `to_json`: equal exactly when all settings that matter are equal."""
        return sha256_of(self._hashed())

    def table(self) -> list[dict[str, str]]:
        """One row a key, in the order of the file: key, value (secrets masked), source."""
        rows = [
            {"key": key, "value": shown(self.value(key)), "source": self.sources.get(key, "default")}
            for key in leaves()
        ]
        for item in dataclasses.fields(Secrets):
            key = f"secrets.{item.name}"
            value = shown(self.value(key)) if self.value(key) is not None else "(not set)"
            rows.append({"key": key, "value": value, "source": self.sources.get(key, "default")})
        return rows

    def _hashed(self) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for key in leaves():
            if key in LOCATION_KEYS:
                continue
            *sections, name = key.split(".")
            branch = tree
            for section in sections:
                branch = branch.setdefault(section, {})
            branch[name] = self.value(key)
        return tree

    def _repr_html_(self) -> str:
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row.values()) + "</tr>"
            for row in self.table()
        )
        head = "<tr><th>key</th><th>value</th><th>source</th></tr>"
        return f"<p>config hash <code>{self.config_hash}</code></p><table>{head}{body}</table>"


@dataclass(frozen=True)
class RecordedSettings(Settings):
    """The settings of a recorded run, under the hash that they had then.

    Attributes
    ----------
    recorded_hash : str
        A later version of the code may have more settings, and so another hash of the same values.
    """

    recorded_hash: str = field(repr=False, compare=False, default="")

    @cached_property
    def config_hash(self) -> str:
        """The hash in the record."""
        return self.recorded_hash


#: Defaults of the keys that stand in no section. A key without a default must be set.
_TOP_DEFAULTS: dict[str, Any] = {"mode": Mode.REPLAY}


@dataclass(frozen=True)
class Leaf:
    """One key of the settings.

    Attributes
    ----------
    key : str
        Dotted name.
    kind : type
        Type of the value.
    default : object
        Value when no source sets it; `required` says that there is none.
    description : str
        What it means, with its unit.
    """

    key: str
    kind: Any
    default: Any
    description: str

    @property
    def required(self) -> bool:
        """Whether some source has to set the key."""
        return self.default is _REQUIRED


@cache
def leaves() -> Mapping[str, Leaf]:
    """Every key that may be set, in the order of the file."""
    return {leaf.key: leaf for leaf in _walk(Settings, "", _TOP_DEFAULTS)}


@cache
def sections() -> Mapping[str, type]:
    """Every section by its dotted name, with its dataclass."""
    found: dict[str, type] = {}
    for key in leaves():
        kind: Any = Settings
        parts = key.split(".")[:-1]
        for depth, part in enumerate(parts, 1):
            kind = get_type_hints(kind)[part]
            found[".".join(parts[:depth])] = kind
    return found


def build(values: Mapping[str, Any], kind: Any = Settings, prefix: str = "") -> dict[str, Any]:
    """Arguments of the dataclass `kind` from dotted values; sections become their dataclasses."""
    arguments: dict[str, Any] = {}
    hints = get_type_hints(kind)
    for item in dataclasses.fields(kind):
        key = f"{prefix}{item.name}"
        if key in _NOT_SETTINGS:
            continue
        hint = hints[item.name]
        if dataclasses.is_dataclass(hint):
            arguments[item.name] = hint(**build(values, hint, f"{key}."))  # type: ignore[operator]
        else:
            arguments[item.name] = values[key]
    return arguments


def _walk(kind: Any, prefix: str, defaults: Mapping[str, Any]) -> Iterator[Leaf]:
    hints = get_type_hints(kind)
    described = attributes_of(kind)
    for item in dataclasses.fields(kind):
        key = f"{prefix}{item.name}"
        if key in _NOT_SETTINGS:
            continue
        hint = hints[item.name]
        if dataclasses.is_dataclass(hint):
            yield from _walk(hint, f"{key}.", {})
            continue
        made = item.default_factory
        own = item.default if made is dataclasses.MISSING else made()
        default = defaults.get(item.name, own)
        yield Leaf(key, hint, default, described.get(item.name, ""))


def attributes_of(kind: Any) -> dict[str, str]:
    """Descriptions from the Attributes section of a NumPy docstring."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in re.split(r"\n\s*Attributes\n\s*-+\n", kind.__doc__ or "")[-1].splitlines():
        head = re.match(r"\s{0,4}([a-z_][\w, ]*) : ", line)
        if head:
            names = [name.strip() for name in head.group(1).split(",")]
        elif not line.strip():
            names = []
        for name in names if not head else ():
            found[name] = f"{found.get(name, '')} {line.strip()}".strip()
    return found


def secret_keys() -> tuple[str, ...]:
    """Dotted keys of the secrets."""
    return tuple(f"secrets.{item.name}" for item in dataclasses.fields(Secrets))
