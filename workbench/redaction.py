"""Takes secrets out of text before it is kept, hashed or shown: what is known to be one, and what looks so.

It stands below every room, because a secret may surface in any of them: an answer of the venue, a
traceback, a notebook's output, a person's reason. Every secret that this process has loaded is known here
and masked wherever it appears, in the spellings that URLs, JSON and base64 give it; beside that the shapes
of keys, of credentials in addresses and headers, and of private keys are masked whoever they belong to.
Too much may be masked, never too little; text that holds none comes back as it is.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

MASK: Final = "***"
#: A shorter value would mask ordinary words; no venue hands out such a key.
SHORTEST: Final = 8

_KNOWN: dict[str, None] = {}
_KNOWN_PATTERN: list[re.Pattern[str]] = []
#: The set of short texts that were looked at and hold no secret. It is another set once another secret is
#: known: whoever looked by the older pattern then adds to the older set.
_CLEAN: list[set[str]] = [set()]
_MOST_CLEAN: Final = 20_000
_LONGEST_CLEAN: Final = 64

#: Keys whose form says what they are: Alpaca's, Amazon's, GitHub's, chat and API tokens, signed web tokens.
KEY_SHAPES: Final = re.compile(
    r"\b(?:AK|PK|CK)(?:[A-Z0-9]{24}|[A-Z0-9]{18})\b|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{30,}"
    r"|\bxox[baprs]-[\w-]{10,}|\bsk-[\w-]{20,}|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]+"
)
PRIVATE_KEY: Final = re.compile(
    r"-{5}BEGIN [A-Z ]*PRIVATE.*?(?:-{5}END [A-Z ]*PRIVATE KEY-{5}|\Z)", re.DOTALL
)
#: Whoever knows such an address can post there. The host in front of a name is found by walking back from it:
#: a bundle of scripts in a notebook has words of millions of letters, and a search from each would not end.
WEBHOOK: Final = re.compile(
    r"(?:hooks\.slack\.com/|discord(?:app)?\.com/api/webhooks/|/api/webhooks/|webhook\.office\.com/"
    r"|api\.telegram\.org/bot|chat\.googleapis\.com/v1/spaces/)[^\s\"'<>\\]*"
    r"|\b(?:slack|discord|tgram|msteams|pover|gotifys?|mmosts?|rocketss?)://[^\s\"'<>\\]+",
    re.IGNORECASE,
)
_HOST: Final = re.compile(r"(?:https?://)?[^\s\"'<>/]*\Z", re.IGNORECASE)
_LONGEST_HOST: Final = 300
_NAMES_A_HOOK: Final = re.compile(r"hook|api\.telegram|chat\.google", re.IGNORECASE)
#: Scheme, and what stands before the @ of an address.
USER_INFO: Final = re.compile(r"([a-z][a-z0-9+.-]{0,30}://)([^/\s?#\"'<>@]*@)+", re.IGNORECASE)
#: The user of a database, without a password, is no secret.
DATABASE_USER: Final = re.compile(r"postgresql(?:\+[a-z0-9]+)?://[^:/\s?#@]*@", re.IGNORECASE)
#: Names of query parameters that carry a secret.
QUERY_NAMES: Final = frozenset(
    {"key", "token", "secret", "password", "passwd", "pwd", "apikey", "api_key", "access_token", "auth",
     "sig", "signature"}
)  # fmt: skip
_QUERY: Final = re.compile(
    rf"([?&](?:{'|'.join(sorted(QUERY_NAMES, key=len, reverse=True))})=)[^&\s\"'<>\\#]+", re.IGNORECASE
)
# between a name and its value stand, in all kinds of output, a quote, a colon or comma, and a prefix b
_BETWEEN: Final = r"""\\?["']?\s*[:=,]\s*(?:b?\\?["'])?"""
_HEADER: Final = re.compile(
    rf"((?:APCA-API-(?:KEY-ID|SECRET-KEY)|(?:proxy-)?authorization|x-api-key|set-cookie){_BETWEEN}"
    r"(?:basic\s+|bearer\s+)?)[^\s\"',}\]\\]+",
    re.IGNORECASE,
)
_NAMED: Final = (
    r"(?:secret|password|passwd|passphrase|api[_-]?key|private[_-]?key|access[_-]?token|auth[_-]?token"
    r"|credential|workbench_ticket|secrets__[a-z_]+|secret[_-](?:access[_-])?key)"
)
_ASSIGNED: Final = re.compile(
    # name = value, or "name": "value"; after a bare colon ordinary prose may follow, so a digit is wanted
    rf"""({_NAMED}(?:\\?["']?\s*=\s*(?:b?\\?["'])?|\\?["']\s*[:,]\s*b?\\?["']|:\s*(?=\S*\d)))"""
    r"(?!\*\*\*)[^\s\"',;(){}\[\]\\<>]{6,}",
    re.IGNORECASE,
)


def remember(value: str) -> None:
    """From now on this value is masked wherever this process would write it."""
    if len(value) < SHORTEST or value in _KNOWN:
        return
    spellings = (
        value, _in_a_url(value), json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1], base64.b64encode(value.encode()).decode().rstrip("="),
    )  # fmt: skip
    _KNOWN.update(dict.fromkeys(spellings))
    longest_first = sorted(_KNOWN, key=len, reverse=True)
    _KNOWN_PATTERN[:] = [re.compile("|".join(re.escape(form) for form in longest_first))]
    _CLEAN[:] = [set()]


def redact(text: str) -> str:
    """The text with every secret that it is known or seems to hold as ``***``.

    Examples
    --------
    >>> redact("the venue refused password=hunter2")
    'the venue refused password=***'
    """
    for known in _KNOWN_PATTERN:
        text = known.sub(MASK, text)
    if not _may_hold_one(text):
        return text
    text = PRIVATE_KEY.sub(MASK, text)
    if "://" in text or _NAMES_A_HOOK.search(text):  # the pattern is slow on long words
        text = _without_hooks(text)
    text = USER_INFO.sub(_without_user_info, text)
    text = _QUERY.sub(rf"\1{MASK}", text)
    text = KEY_SHAPES.sub(MASK, text)
    text = _HEADER.sub(rf"\1{MASK}", text)
    return _ASSIGNED.sub(rf"\1{MASK}", text)


def _without_hooks(text: str) -> str:
    """The text with every address of a hook masked whole, its host included."""
    kept, at = [], 0
    for hook in WEBHOOK.finditer(text):
        if hook.start() < at:
            continue
        host = _HOST.search(text, max(at, hook.start() - _LONGEST_HOST), hook.start())
        kept += [text[at : host.start() if host else hook.start()], MASK]
        at = hook.end()
    return "".join([*kept, text[at:]])


def redact_lines(lines: Iterable[str]) -> Iterator[str]:
    """Each line redacted as it comes; of a private key, which spans lines, nothing but the mask."""
    inside = False
    for line in lines:
        begins, ends = "-----BEGIN" in line and "PRIVATE" in line, "-----END" in line
        if not inside:
            masked = redact(line)
            yield masked if masked.endswith("\n") or not line.endswith("\n") else f"{masked}\n"
        inside = (inside or begins) and not ends


def redact_values(value: Any) -> Any:
    """The same value with every text inside it redacted; keys of mappings are left as they are."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: redact_values(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact_values(item) for item in value]
    return value


def may_hold_a_secret(text: str) -> bool:
    """Whether `redact` has to look: False only when it would change nothing. Cheap, for every record."""
    return _may_hold_one(text) or bool(_KNOWN_PATTERN and _KNOWN_PATTERN[0].search(text))


def any_holds_a_secret(texts: set[str]) -> bool:
    """Whether `redact` would change any of these.

    Records repeat the same few words: those that were looked at once are not looked at again, and the
    others are looked at all together first.
    """
    clean = _CLEAN[0]
    fresh = texts - clean
    if not fresh:
        return False
    if may_hold_a_secret("\n".join(fresh)) and any(redact(text) != text for text in fresh):
        return True
    if len(clean) + len(fresh) > _MOST_CLEAN:
        clean.clear()
    clean.update(fresh if max(map(len, fresh)) <= _LONGEST_CLEAN else _short(fresh))
    return False


def _short(texts: set[str]) -> Iterator[str]:
    return (text for text in texts if len(text) <= _LONGEST_CLEAN)


def is_secret_name(name: str) -> bool:
    """Whether a key or variable is named as if it held a secret."""
    lowered = name.lower()
    return (
        any(word in lowered for word in _SECRET_WORDS) or re.search(r"(?:^|[._-])key$", lowered) is not None
    )


_SECRET_WORDS: Final = (
    "secret", "token", "password", "passwd", "passphrase", "apikey", "api_key", "credential", "authorization",
    "apca-api",
)  # fmt: skip


def _may_hold_one(text: str) -> bool:
    """Whether any pattern could find something: each of them needs one of these signs, in this case or any.

    Written out, since every record of the journal passes here: a loop over the signs costs twice as much.
    """
    if (
        "eyJ" in text or "xox" in text or "sk-" in text or "PRIVATE" in text
        or ("K" in text and ("PK" in text or "AK" in text or "CK" in text))
        or ("gh" in text
            and ("ghp_" in text or "gho_" in text or "ghu_" in text or "ghs_" in text or "ghr_" in text))
    ):  # fmt: skip
        return True
    if not (":" in text or "=" in text or "," in text or "/" in text):
        return False  # a value after its name, and an address, have one of these
    lowered = text.lower()
    return (
        "://" in text
        or "secret" in lowered or "pass" in lowered or "key" in lowered or "token=" in lowered
        or 'token"' in lowered or "token'" in lowered or "auth" in lowered or "credential" in lowered
        or "cookie" in lowered or "ticket" in lowered or "hook" in lowered or "pwd=" in lowered
        or "sig=" in lowered or "signature=" in lowered or "api.telegram" in lowered
        or "chat.google" in lowered
    )  # fmt: skip


def _in_a_url(value: str) -> str:
    return "".join(chr(at) if chr(at).isascii() and (chr(at).isalnum() or at in b"_.-~") else f"%{at:02X}"
                   for at in value.encode())  # fmt: skip


def _without_user_info(found: re.Match[str]) -> str:
    whole = found.group()
    return whole if DATABASE_USER.fullmatch(whole) else f"{found.group(1)}{MASK}@"
