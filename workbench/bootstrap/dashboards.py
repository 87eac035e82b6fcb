"""The dashboards' server: which screens there are, and where it may listen."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.adapters.armed_file import ArmedFileOnDisk
from workbench.bootstrap import admin, killing
from workbench.bootstrap.desk import Desk, has_journal
from workbench.bootstrap.permission import desk_supervision
from workbench.bootstrap.resources import apps_folder, sample_folder
from workbench.config import Settings, load_settings
from workbench.errors import ConfigError, DataError, Refused, UsageError
from workbench.screens import DeskScreen, DriftScreen, OverfittingScreen, ReplayScreen, Screen, TcaScreen

if TYPE_CHECKING:
    import pandas as pd

#: Set by `serve`; a page that is opened by `panel serve` alone reads workbench.toml of its folder.
_served: list[Settings] = []


def _settings() -> Settings:
    return _served[-1] if _served else load_settings("workbench.toml")


@functools.cache
def screen(name: str) -> Screen:
    """The state behind a page, one object for all who look at it.

    Parameters
    ----------
    name : str
        "desk" | "tca" | "drift" | "overfitting" | "replay".

    Raises
    ------
    UsageError
        There is no such page.
    """
    makers: dict[str, Callable[[Settings], Screen]] = {
        "desk": _desk_screen, "tca": _tca_screen, "drift": _drift_screen,
        "overfitting": _overfitting_screen, "replay": _replay_screen,
    }  # fmt: skip
    if name not in makers:
        raise UsageError(f"there is no page {name!r}", next_step=f"use one of: {', '.join(makers)}")
    return makers[name](_settings())


def _desk_screen(settings: Settings) -> DeskScreen:
    desk = Desk(settings)
    armed = ArmedFileOnDisk(desk.paths.armed)

    def halt(person: str, reason: str) -> None:
        killing.halt(settings, killing.HaltOrder(person, reason))

    return DeskScreen(
        desk,
        mark=lambda: (_journal_end(desk), armed.read()),
        permission=lambda: desk_supervision(settings, desk.journal).permission(),
        halt=halt,
    )


def _replay_screen(settings: Settings) -> ReplayScreen:
    desk = Desk(settings)
    return ReplayScreen(desk, mark=lambda: _journal_end(desk))


def _tca_screen(settings: Settings) -> TcaScreen:
    from workbench.tca import report

    desk = Desk(settings)
    return TcaScreen(desk, mark=lambda: _journal_end(desk), report=report)


def _drift_screen(settings: Settings) -> DriftScreen:
    from workbench.drift import compare

    desk = Desk(settings)
    return DriftScreen(desk, mark=lambda: (_journal_end(desk), desk.bars.fingerprint()), compare=compare)


def _overfitting_screen(settings: Settings) -> OverfittingScreen:
    desk = Desk(settings)
    return OverfittingScreen(
        desk, mark=lambda: _journal_end(desk), candidates=lambda: admin.candidates(settings), closes=_closes
    )


def _closes() -> pd.DataFrame:
    """Closes of the sample's large companies, sessions by symbols."""
    import pandas as pd

    path = sample_folder() / "closes" / "large_caps.parquet"
    if not path.is_file():
        raise DataError(f"{path} is missing", next_step="install the package again: it brings the sample")
    return pd.read_parquet(path).set_index("session")


def _journal_end(desk: Desk) -> Hashable:
    """Number and hash of the journal's last event."""
    if not has_journal(desk.settings):
        raise ConfigError(
            f"there is no desk at {desk.paths.root} yet",
            next_step="workbench init, or workbench demo for one with history",
        )
    return desk.journal.head()


def apps() -> dict[str, Path]:
    """Address -> file of every page."""
    return {path.stem: path for path in sorted(apps_folder().glob("*.py"))}


def serve(settings: Settings, *, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve all pages until the process is stopped.

    Parameters
    ----------
    host : str
        A loopback address; this version has no log-in, so no other is accepted.
    port : int
        0 = any free one.
    ready : callable (address) -> None
        Told the address of the first page once it can be opened.

    Raises
    ------
    Refused
        The address can be reached from other machines.
    """
    import panel as pn

    require_loopback(host)
    _served.append(settings)
    pages: Any = {name: str(path) for name, path in apps().items()}
    server = pn.serve(
        pages, port=port, address=host, show=False, start=False, verbose=False, index=str(apps()["desk"]),
        websocket_origin=None,
    )  # fmt: skip
    ready(f"http://{host}:{server.port}/desk")
    server.run_until_shutdown()


def require_loopback(host: str) -> None:
    """Refuse an address that other machines could reach."""
    try:
        inside = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = False
    if not inside:
        raise Refused(
            f"{host} can be reached from other machines, and these pages have no log-in",
            next_step="keep 127.0.0.1 and put a proxy with log-in and TLS in front of it",
        )
