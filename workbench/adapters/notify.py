"""Tells people: console and file at once, and through apprise e-mail, webhooks and chats.

A channel is named by its kind and number, such as "json-1": its address may hold a secret and is never
shown, logged or raised.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.core.alerts import Message, Severity
from workbench.errors import ConfigError

if TYPE_CHECKING:
    from apprise import Apprise

PLAIN: Final = ("console", "file")
#: Limits of one attempt, seconds; a channel's own limits in its address come before them.
CONNECT_S: Final = 2.0
READ_S: Final = 3.0
_WHOLE_S: Final = 8.0
#: Between two messages to one address.
_PAUSE_S: Final = 0.2
_LATE: Final = "no answer in time"
_SPLIT: Final = re.compile(r"[\s]+")
_STATUS: Final = re.compile(r"\berror=(\d{3})\b")


Teller = Callable[[Message], str]


class Channels:
    """Named channels in groups; satisfies `core.alerts.Notifier`.

    Parameters
    ----------
    plain : sequence of str
        Which of "console" and "file" get every alert.
    file : Path
        Alerts of the channel "file", one JSON line each.
    groups : sequence of str
        Addresses of each group, as apprise knows them, separated by white space; secrets. The second
        group, when it is not empty, is told what nobody acknowledged.
    external_from : Severity
        Alerts of lower severity stay on the plain channels.

    Raises
    ------
    ConfigError
        An address that apprise does not know; it is named by its place, never shown.
    """

    def __init__(
        self, *, plain: Sequence[str], file: Path, groups: Sequence[str], external_from: Severity
    ) -> None:
        self._plain = tuple(plain)
        self._file = file
        self._external_from = external_from
        self._groups = [_open_group(number, text) for number, text in enumerate(groups, 1) if text.strip()]
        self._threads = ThreadPoolExecutor(max_workers=16, thread_name_prefix="alert")

    @property
    def levels(self) -> int:
        """Two: what nobody acknowledges is told once more, to the second group when there is one."""
        return 2

    def channels(self, level: int, *, severity: Severity, local: bool) -> tuple[str, ...]:
        """Names of the channels of an alert at that level."""
        if local or severity.rank < self._external_from.rank or not self._groups:
            return self._plain
        return (*self._plain, *self._group(level))

    def send(self, messages: Sequence[Message]) -> list[dict[str, str]]:
        """Tell each message to its channels: all channels at once, each in order, within a few seconds."""
        work: dict[tuple[int, str], list[int]] = {}
        for place, message in enumerate(messages):
            for name in message.channels:
                work.setdefault((message.level, name), []).append(place)
        until_s = time.monotonic() + _WHOLE_S
        waiting: dict[Future[list[str]], tuple[str, list[int]]] = {}
        for (level, name), places in work.items():
            mine = [messages[place] for place in places]
            task = self._threads.submit(_tell_in_turn, self._teller(name, level), mine, until_s)
            waiting[task] = (name, places)
        done, _late = wait(waiting, timeout=_WHOLE_S)
        answers: list[dict[str, str]] = [{} for _ in messages]
        for task, (name, places) in waiting.items():
            said = task.result() if task in done else [_LATE] * len(places)
            for place, words in zip(places, said, strict=True):
                answers[place][name] = words
        return answers

    def close(self) -> None:
        """Wait for nobody: what has not been told is in the outbox."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _group(self, level: int) -> dict[str, Apprise]:
        return self._groups[min(level, len(self._groups) - 1)]

    def _teller(self, name: str, level: int) -> Teller:
        if name == "console":
            return _to_console
        if name == "file":
            return self._to_file
        channel = self._group(level).get(name) if self._groups else None
        if channel is None:
            return lambda message: "no such channel any more"
        return lambda message: _by_apprise(channel, message)

    def _to_file(self, message: Message) -> str:
        said = {"number": message.number, "title": message.title, "body": message.body}
        line = json.dumps(said, ensure_ascii=False) + "\n"
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return ""


def _tell_in_turn(tell: Teller, messages: Sequence[Message], until_s: float) -> list[str]:
    """One channel's answers; what is not reached in time is left to the next attempt."""
    return [_guarded(tell, message) if time.monotonic() < until_s else _LATE for message in messages]


def _guarded(tell: Teller, message: Message) -> str:
    try:
        return tell(message)
    except Exception as error:  # the boundary: a channel that fails is reported, and its words may be secret
        return type(error).__name__


def _to_console(message: Message) -> str:
    print(f"{message.title}\n  " + message.body.replace("\n", "\n  "), file=sys.stderr, flush=True)
    return ""


def _open_group(group: int, text: str) -> dict[str, Apprise]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its mail asks for a module of old Pythons
        return _opened(group, text)


def _opened(group: int, text: str) -> dict[str, Apprise]:
    from apprise import Apprise, AppriseAsset

    # Nothing is kept on disk or loaded from it, and addresses are masked in apprise's own log.
    asset = AppriseAsset(app_id="Workbench", plugin_paths=[], secure_logging=True, async_mode=False)
    found: dict[str, Apprise] = {}
    for place, address in enumerate(_SPLIT.split(text.strip()), 1):
        channel = Apprise(asset=asset)
        if not channel.add(_with_limits(address)):
            raise ConfigError(
                f"address {place} of group {group} of the alert channels is none that apprise knows",
                next_step="correct the secret alert_urls (or alert_urls_second); it is never shown",
            )
        for service in channel:  # its own pause is longer than an alert may take; who has none says 429
            service.request_rate_per_sec = _PAUSE_S
        kind = re.sub(r"[^a-z0-9]", "", address.partition(":")[0].lower())
        found[f"{kind}-{place}"] = channel
    return found


def _with_limits(address: str) -> str:
    """The address with limits of time, unless it has its own."""
    query = address.partition("?")[2]
    limits = {"cto": CONNECT_S, "rto": READ_S}
    missing = [f"{name}={value}" for name, value in limits.items() if f"{name}=" not in query]
    return address + ("&" if query else "?") + "&".join(missing) if missing else address


def _by_apprise(channel: Apprise, message: Message) -> str:
    body = f"{message.body}\nnumber: {message.number}"
    result: Any = channel.notify(title=message.title, body=body, body_format="text")
    if result:
        return ""
    words = " ".join(str(entry) for entry in result.logs())
    status = _STATUS.search(words)
    return f"http {status[1]}" if status else "no connection, or refused"
