"""Secrets that cannot be printed, and recognition of secrets in places where none may be."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from typing import Any, NoReturn
from urllib.parse import parse_qsl, urlsplit

from workbench.errors import ConfigError
from workbench.redaction import (
    DATABASE_USER,
    KEY_SHAPES,
    MASK,
    PRIVATE_KEY,
    QUERY_NAMES,
    USER_INFO,
    WEBHOOK,
    is_secret_name,
    remember,
)

_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)


class Secret:
    """A value that every kind of output shows as ``***``; only `reveal` gives it.

    From its making on `workbench.redaction.redact` masks it in whatever this process writes.

    It lives in a closure, so neither ``vars`` nor a debugger's attribute list holds it. A pickled or
    JSON-encoded copy holds the mask only, and `reveal` of such a copy raises: a lost secret is an
    error, never the text of the mask sent to a venue.

    Examples
    --------
    >>> print(Secret("hunter2"))
    ***
    """

    __slots__ = ("_reveal",)

    def __init__(self, value: str) -> None:
        self._reveal: Callable[[], str] = lambda: value
        remember(value)

    def reveal(self) -> str:
        """The secret itself; call it only where it is handed to the outside.

        Raises
        ------
        ConfigError
            This copy went through a pickle and lost the value.
        """
        return self._reveal()

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.reveal().encode(), other.reveal().encode())

    __hash__ = None  # type: ignore[assignment]  # a hash of a short secret can be searched

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (_masked, ())


def _masked() -> Secret:
    secret = Secret(MASK)
    secret._reveal = _lost
    return secret


def _lost() -> NoReturn:
    raise ConfigError(
        "this secret was copied through a pickle, which keeps no secrets",
        next_step="load the settings again in this process",
    )


def secret_in(text: str) -> str:
    """What kind of secret the text carries, in words; "" when none is recognised.

    Credentials in a URL, tokens in its query, webhook addresses, and keys of well-known shapes.
    """
    if any(not DATABASE_USER.fullmatch(found.group()) for found in USER_INFO.finditer(text)):
        return "a URL with credentials"
    if WEBHOOK.search(text):
        return "a webhook address"
    for url in _URL.findall(text):
        try:
            names = {name.lower() for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)}
        except ValueError:
            return "a URL that cannot be read"
        if names & QUERY_NAMES:
            return "a URL with a token in its query"
    if KEY_SHAPES.search(text) or PRIVATE_KEY.search(text):
        return "a key"
    return ""


def shown(value: object, *, key: str = "") -> str:
    """The value as a message may show it: short, and masked where it is or may be a secret."""
    if isinstance(value, Secret) or is_secret_name(key) or secret_in(str(value)):
        return MASK
    text = (
        repr(list(value))
        if isinstance(value, tuple)
        else repr(str(value) if isinstance(value, str) else value)
    )
    return text if len(text) <= 80 else text[:77] + "..."
