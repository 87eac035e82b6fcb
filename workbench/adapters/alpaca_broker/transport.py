"""Requests through alpaca-py made safe: no retry, time limits, no redirects, bounded bodies, no exceptions.

The SDK is pinned to one version because what makes it safe is private: it repeats every request on 429 and
504 (up to four orders from one call), has no time limit, and drops status and headers of good answers.
Whatever this module relies on is checked at the start; a version that renamed it is refused.
"""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any
from urllib.parse import urlencode

import requests
from alpaca.common.rest import RESTClient
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.trading.client import TradingClient
from requests.adapters import HTTPAdapter

from workbench.adapters.alpaca_broker.rows import BadRow, read_json
from workbench.errors import ConfigError

SDK_VERSION = "0.44.0"
MAX_BODY_BYTES = 32 * 1024 * 1024
MASK = "***"


@dataclass(frozen=True)
class Answer:
    """What came back from one request.

    Attributes
    ----------
    status : int
        HTTP status; 0 = no complete answer.
    json : object
        The body as JSON with exact decimals; None when it is none or empty.
    words : str
        The venue's message, or what went wrong, without any key; at most 300 characters.
    code : int
        The venue's own code of an error; 0 without one.
    left : bool
        Whether anything may have reached the venue.
    """

    status: int
    json: Any = None
    words: str = ""
    code: int = 0
    left: bool = True

    @property
    def good(self) -> bool:
        """Whether this is a success with a body of JSON."""
        return 200 <= self.status < 300 and self.json is not None


class _TimedAdapter(HTTPAdapter):
    """The session's adapter with a limit for connecting and for every read; never a retry."""

    def __init__(self, connect_s: float, read_s: float) -> None:
        self._limits = (connect_s, read_s)
        super().__init__(max_retries=0)

    def send(self, request: Any, **arguments: Any) -> Any:  # type: ignore[override]
        arguments["timeout"] = self._limits
        return super().send(request, **arguments)


class AlpacaTransport:
    """One account's requests to one of Alpaca's interfaces; never raises for what the wire does.

    Parameters
    ----------
    key, secret : str
        The account's key pair. They are kept by the SDK's client only, and masked in every message.
    url : str
        Base address without the version.
    connect_s, read_s : float
        Limits for connecting and for every read, seconds; a whole answer takes at most three reads' time.
    data : bool
        Whether the address is that of market data.
    barred : callable () -> str
        Asked at the last moment before a POST: why nothing may be sent any more, "" = it may.

    Raises
    ------
    ConfigError
        The installed alpaca-py is not the version whose internals are known.
    """

    def __init__(
        self, *, key: str, secret: str, url: str, connect_s: float, read_s: float, data: bool = False,
        barred: Callable[[], str] = str,
    ) -> None:  # fmt: skip
        url = url.rstrip("/").removesuffix("/v2")  # the SDK adds the version
        client: RESTClient = (
            StockHistoricalDataClient(key, secret, raw_data=True, url_override=url)
            if data
            else TradingClient(key, secret, paper=True, raw_data=True, url_override=url)
        )
        self._client = harden(client, connect_s=connect_s, read_s=read_s)
        self._whole_s = connect_s + 3.0 * read_s
        self._client._session.hooks["response"] = [self._keep]
        self._answer: Answer | None = None
        self._until = 0.0
        self._lock = Lock()
        self._barred = barred

    def __repr__(self) -> str:
        return "<AlpacaTransport>"

    def __reduce__(self) -> Any:
        raise TypeError("a connection to the venue holds keys and is never copied")

    def close(self) -> None:
        """Close the connections."""
        self._client._session.close()

    def ask(self, method: str, path: str, fields: Mapping[str, Any] | None = None) -> Answer:
        """Send one request once, and say what came back.

        Parameters
        ----------
        method : str
            GET, POST or DELETE.
        path : str
            Path after the version.
        fields : mapping or None
            Query of a GET or DELETE, JSON of a POST. Texts stay texts: decimals are sent as they are.
        """
        with self._lock:  # a requests session is not made for two threads
            # whatever was waited for since the last look (the budget, this lock), a halt came first
            if method == "POST" and (why := self._barred()):
                return Answer(0, words=f"not sent: {why}", left=False)
            self._answer, failure = None, ""
            left = True
            self._until = time.monotonic() + self._whole_s
            sent: Any = dict(fields) if fields is not None else None
            if sent is not None and method != "POST":
                sent = urlencode(sent)
            try:
                self._client._request(method, path, sent)
            except Exception as problem:  # boundary: its request holds the keys, so only its kind leaves here
                failure = type(problem).__name__
                left = not _never_connected(problem)
            # Whatever the SDK made of it: what the hook kept is what the venue said.
            return self._kept() or Answer(0, words=f"no answer: {failure or 'nothing came'}", left=left)

    def _kept(self) -> Answer | None:
        return self._answer

    def _keep(self, response: requests.Response, *_: Any, **__: Any) -> None:
        """Read the body within its limits and keep the answer; called by the session before the SDK looks."""
        try:
            body = self._read(response)
        except Exception as problem:  # boundary: a body that breaks off is an answer that proves nothing
            response._content = b""
            response.close()
            why = str(problem) if isinstance(problem, _TooMuch) else type(problem).__name__
            self._answer = Answer(0, words=f"status {response.status_code} with a broken body: {why}")
            return
        response._content = body
        response._content_consumed = True  # type: ignore[attr-defined]
        self._answer = self._understand(response.status_code, body)

    def _read(self, response: requests.Response) -> bytes:
        pieces, size = [], 0
        while piece := response.raw.read1(65_536, decode_content=True):
            size += len(piece)
            if size > MAX_BODY_BYTES:
                raise _TooMuch("the body is too large")
            if time.monotonic() > self._until:
                raise _TooMuch("the body came too slowly")
            pieces.append(piece)
        return b"".join(pieces)

    def _understand(self, status: int, body: bytes) -> Answer:
        if not body.strip():
            return Answer(status, words=f"status {status} with an empty body")
        try:
            value = read_json(body)
        except BadRow:
            shape = "HTML" if body.lstrip()[:1] == b"<" else "a body that is no JSON"
            return Answer(status, words=f"status {status} with {shape}")
        words, code = "", 0
        if status >= 300 and isinstance(value, dict):
            message, number = value.get("message"), value.get("code")
            words = self._masked(message)[:300] if isinstance(message, str) else ""
            if isinstance(opposite := value.get("existing_order_id"), str):
                words += f" (existing order {self._masked(opposite)[:40]})"
            code = number if isinstance(number, int) and not isinstance(number, bool) else 0
        return Answer(status, value, words or (f"status {status}" if status >= 300 else ""), code)

    def _masked(self, words: str) -> str:
        """The words without the keys: a server that echoes headers must not put them into our records."""
        for hidden in (self._client._secret_key, self._client._api_key):
            if hidden:
                words = words.replace(hidden, MASK)
        return words


class _TooMuch(Exception):
    """A body that exceeds its limits."""


def _never_connected(problem: BaseException) -> bool:
    """Whether it is proven that no byte left: the connection was never made."""
    if isinstance(problem, requests.exceptions.ConnectTimeout):
        return True
    if not isinstance(problem, requests.exceptions.ConnectionError) or not problem.args:
        return False
    return type(getattr(problem.args[0], "reason", None)).__name__ == "NewConnectionError"


def harden(client: RESTClient, *, connect_s: float, read_s: float) -> RESTClient:
    """The SDK's client without retries, with time limits and deaf to proxies and .netrc of the environment.

    Raises
    ------
    ConfigError
        Version or internals are not those that were examined.
    """
    version = importlib.metadata.version("alpaca-py")
    session = getattr(client, "_session", None)
    known = (
        version == SDK_VERSION
        and isinstance(session, requests.Session)
        and isinstance(getattr(client, "_retry", None), int)
        and isinstance(getattr(client, "_secret_key", None), str)
        and isinstance(getattr(client, "_api_key", None), str)
        and getattr(client, "_use_raw_data", None) is True
        and callable(getattr(client, "_request", None))
        and callable(getattr(client, "_one_request", None))
    )
    if not known or not isinstance(session, requests.Session):
        raise ConfigError(
            f"alpaca-py {version} is not the examined {SDK_VERSION}, or its internals have changed",
            next_step=f"install alpaca-py=={SDK_VERSION}; no other version may send orders",
        )
    client._retry = 0
    session.trust_env = False
    for scheme in ("https://", "http://"):
        session.mount(scheme, _TimedAdapter(connect_s, read_s))
    if set(session.adapters) != {"https://", "http://"}:
        raise ConfigError(
            "the SDK's session has adapters without time limits",
            next_step=f"install alpaca-py=={SDK_VERSION}; no other version may send orders",
        )
    return client
