"""The dashboards' server: which screens there are, and where it may listen."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.adapters.armed_file import ArmedFileOnDisk
from workbench.adapters.run_pages import run_pages
from workbench.bootstrap import alerts, approving
from workbench.bootstrap.desk import Desk
from workbench.bootstrap.page_access import is_passphrase, may_log_in, role_of
from workbench.bootstrap.page_journal import JournalEnd
from workbench.bootstrap.page_sources import (
    execution_since,
    halted_before,
    limit_uses,
    next_run_words,
    notebook_page,
    notebooks_of,
    watchdog_words,
)
from workbench.bootstrap.permission import desk_supervision
from workbench.bootstrap.resources import apps_folder, sample_folder
from workbench.bootstrap.signing import Credentials
from workbench.config import Settings, load_settings
from workbench.errors import DataError, Refused, StorageFailed, UsageError
from workbench.pages.executed import POLICY
from workbench.screens.screen import Screen

if TYPE_CHECKING:
    import pandas as pd

    from workbench.screens.desk import DeskScreen
    from workbench.screens.drift import DriftScreen
    from workbench.screens.overfitting import OverfittingScreen
    from workbench.screens.replay import ReplayScreen
    from workbench.screens.tca import TcaScreen

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

    Examples
    --------
    >>> import workbench as wb
    >>> shown = wb.screen("desk")  # doctest: +SKIP
    >>> shown.poll()  # doctest: +SKIP
    >>> shown.facts  # doctest: +SKIP
    """
    makers: dict[str, Callable[[Settings], Screen]] = {
        "desk": _desk_screen, "tca": _tca_screen, "drift": _drift_screen,
        "overfitting": _overfitting_screen, "replay": _replay_screen,
    }  # fmt: skip
    if name not in makers:
        raise UsageError(f"there is no page {name!r}", next_step=f"use one of: {', '.join(makers)}")
    return makers[name](_settings())


def _desk_screen(settings: Settings) -> DeskScreen:
    from workbench.screens.commands import DeskCommands
    from workbench.screens.desk import DeskScreen

    desk, asked = Desk(settings), Desk(settings)  # the second follows at once, the first between readings
    end = JournalEnd(desk)
    armed = ArmedFileOnDisk(desk.paths.armed)

    def halt(person: str, reason: str) -> str:
        seen = dict(shown.facts)
        with contextlib.suppress(StorageFailed):  # the halt below tries again, and says what went wrong
            armed.remove()  # first of all: what records and tells the halt takes a second to load
        from workbench.bootstrap import killing

        killing.halt(settings, killing.HaltOrder(person, reason))
        return halted_before(asked, seen, person, reason)

    def answer(approval_id: str, *, passphrase: str, **words: str) -> None:
        key = Credentials(passphrase=lambda: passphrase)
        approving.answer(settings, approval_id, credentials=key, **words)

    def acknowledge(alert: int, person: str, reason: str) -> None:
        with alerts.open_alerting(settings) as service:
            service.acknowledge(alert, person=person, reason=reason)

    shown = DeskScreen(
        desk,
        mark=lambda: (end(), armed.read(), watchdog_words(settings)),
        permission=lambda: desk_supervision(settings, desk.journal).permission(),
        pending=lambda: approving.waiting_for_people(settings, desk.journal),
        alerts=lambda: alerts.list_alerts(settings, everything=False, desk=desk),
        limits=lambda: limit_uses(desk),
        surroundings=lambda: {"watchdog": watchdog_words(settings), "runs": notebooks_of(desk)},
        next_run=lambda session: next_run_words(desk, session),
        commands=DeskCommands(
            login=settings.dashboards.login,
            role_of=functools.partial(role_of, asked),
            halt=halt,
            answer=answer,
            acknowledge=acknowledge,
        ),
    )
    return shown


def _replay_screen(settings: Settings) -> ReplayScreen:
    from workbench.screens.replay import ReplayScreen

    desk = Desk(settings)

    def again(run: str) -> Any:
        from workbench.bootstrap.replay import replay

        return replay(run, config=settings)

    return ReplayScreen(desk, mark=JournalEnd(desk), again=again)


def _tca_screen(settings: Settings) -> TcaScreen:
    from workbench.screens.tca import TcaScreen
    from workbench.tca import report

    desk = Desk(settings)
    return TcaScreen(
        desk,
        mark=JournalEnd(desk),
        report=report,
        execution=lambda first: execution_since(desk, first),
    )


def _drift_screen(settings: Settings) -> DriftScreen:
    from workbench.drift import compare
    from workbench.screens.drift import DriftScreen

    desk = Desk(settings)
    end = JournalEnd(desk)
    return DriftScreen(desk, mark=lambda: (end(), desk.bars.fingerprint()), compare=compare)


def _overfitting_screen(settings: Settings) -> OverfittingScreen:
    from workbench.screens.overfitting import OverfittingScreen
    from workbench.screens.release import ReleaseCommands

    desk = Desk(settings)

    def promote(model_id: str, *, passphrase: str, **words: str) -> None:
        from workbench.bootstrap import releasing

        key = Credentials(passphrase=lambda: passphrase)
        releasing.accept_model(settings, model_id, credentials=key, **words)

    def roll_back(*, passphrase: str, **words: str) -> tuple[str, str]:
        from workbench.bootstrap import releasing

        return releasing.rollback(settings, credentials=Credentials(passphrase=lambda: passphrase), **words)

    def candidates() -> list[dict[str, Any]]:
        from workbench.bootstrap import admin

        return admin.candidates(settings)

    return OverfittingScreen(
        desk,
        mark=JournalEnd(desk),
        candidates=candidates,
        closes=_closes,
        commands=ReleaseCommands(
            login=settings.dashboards.login,
            role_of=functools.partial(role_of, Desk(settings)),
            promote=promote,
            roll_back=roll_back,
        ),
    )


def _closes() -> pd.DataFrame:
    """Closes of the sample's large companies, sessions by symbols."""
    import pandas as pd

    path = sample_folder() / "closes" / "large_caps.parquet"
    if not path.is_file():
        raise DataError(f"{path} is missing", next_step="install the package again: it brings the sample")
    return pd.read_parquet(path).set_index("session")


def apps() -> dict[str, Path]:
    """Address -> file of every page."""
    return {path.stem: path for path in sorted(apps_folder().glob("*.py"))}


def serve(settings: Settings, *, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve all pages until the process is stopped, behind a log-in where the settings ask for it.

    Parameters
    ----------
    host : str
        A loopback address; another one needs a log-in, and TLS or a proxy that speaks it.
    port : int
        0 = any free one.
    ready : callable (address) -> None
        Told the address of the first page once it can be opened.

    Raises
    ------
    Refused
        The address can be reached from other machines without a log-in or without TLS; or a log-in is
        asked for and nobody could pass it.
    """
    import panel as pn

    require_guarded(settings, host)
    _served.append(settings)
    pages: Any = {name: str(path) for name, path in apps().items()}
    guards = _guards(settings)
    login = guards.get("auth_provider")
    desk = Desk(settings)
    notebooks = run_pages(
        lambda run_id: notebook_page(desk, run_id), person_of=login.get_user if login else None, policy=POLICY
    )
    server = pn.serve(
        pages, port=port, address=host, show=False, start=False, verbose=False, index=str(apps()["desk"]),
        websocket_origin=list(settings.dashboards.origins) or None,
        extra_patterns=[notebooks, *_probes(settings)], **guards,
    )  # fmt: skip
    scheme = "https" if settings.dashboards.tls_certificate else "http"
    ready(f"{scheme}://{host}:{server.port}/desk")
    server.run_until_shutdown()


def _probes(settings: Settings) -> list[Any]:
    """Addresses beside the pages that probes and Prometheus ask, without a log-in."""
    from workbench.adapters.health_pages import HealthPage
    from workbench.bootstrap.health import HEALTH, METRICS, HealthAnswers

    answers = HealthAnswers(settings)
    return [(path, HealthPage, {"answers": answers}) for path in (HEALTH, METRICS)]


def require_guarded(settings: Settings, host: str) -> None:
    """Refuse an address that other machines could reach, unless people log in and nobody listens in."""
    asked = settings.dashboards
    try:
        inside = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = False
    if not inside and not asked.login:
        raise Refused(
            f"{host} can be reached from other machines, and these pages have no log-in",
            next_step="keep 127.0.0.1, or set dashboards.login = true",
        )
    if not inside and not (asked.tls_certificate or asked.trusted_proxy):
        raise Refused(
            f"{host} can be reached from other machines, and passphrases would travel in the clear",
            next_step="set dashboards.tls_certificate and tls_key, or dashboards.trusted_proxy = true behind "
            "a proxy that speaks TLS",
        )
    if asked.login and not may_log_in(Desk(settings)):
        raise Refused(
            "dashboards.login is on, and nobody is registered with a passphrase",
            next_step="workbench people add NAME --role viewer",
        )


def _guards(settings: Settings) -> dict[str, Any]:
    """What the server needs for log-in and TLS."""
    asked = settings.dashboards
    found: dict[str, Any] = {"use_xheaders": asked.trusted_proxy}
    if asked.tls_certificate:
        found |= {
            "ssl_certfile": str(settings.folder / asked.tls_certificate),
            "ssl_keyfile": str(settings.folder / asked.tls_key),
        }
    if asked.login:
        from workbench.adapters.page_login import PageLogin

        desk = Desk(settings)
        found["auth_provider"] = PageLogin(
            is_right=functools.partial(is_passphrase, desk),
            is_known=lambda person: bool(role_of(desk, person)),
            session_s=asked.session_hours * 3_600,
            secure=bool(asked.tls_certificate) or asked.trusted_proxy,
            now_s=time.monotonic,
        )
        # of this process alone: after a restart everybody logs in again
        found["cookie_secret"] = secrets.token_hex(32)
    return found
