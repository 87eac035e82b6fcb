"""What an address in the settings must be; each rule answers "" or what is wrong."""

from __future__ import annotations

from urllib.parse import urlsplit

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def venue_url(value: str) -> str:
    """Only https leaves the machine; plain http is for a venue on the loopback address."""
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
    except ValueError:
        return "is not a URL"
    if (parts.scheme == "https" and host) or (parts.scheme == "http" and host in LOOPBACK):
        return ""
    return "must start with https:// (http:// only for the loopback address)"


def stream_url(value: str) -> str:
    """As `venue_url`, for sockets."""
    if value.startswith(("http://", "https://")):
        return "must start with wss:// (ws:// only for the loopback address)"
    trouble = venue_url(value.replace("ws", "http", 1)) if value.startswith(("ws://", "wss://")) else ""
    known = not value or value.startswith(("ws://", "wss://"))
    return "must start with wss:// (ws:// only for the loopback address)" if trouble or not known else ""


def admin_url(value: str) -> str:
    """An admin port is only ever on this machine."""
    near = urlsplit(value).hostname in LOOPBACK if not venue_url(value) else False
    return "" if not value or near else "must be http:// on the loopback address"


def journal_url(value: str) -> str:
    """A database server; a password in the URL is refused before, as in every value."""
    if not value:
        return ""
    try:
        parts = urlsplit(value)
    except ValueError:
        return "is not a URL"
    if parts.scheme != "postgresql+psycopg" or not parts.path.strip("/"):
        return 'must be "" or postgresql+psycopg://USER@HOST:PORT/DATABASE'
    return ""


def cluster_address(value: str) -> str:
    """A Dask scheduler; its own protocol has no password, so it belongs behind TLS or in a closed network."""
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        whole = parts.scheme in ("tcp", "tls") and bool(parts.hostname) and bool(parts.port)
    except ValueError:
        whole = False
    return "" if whole and not parts.path else 'must be "" or tcp://HOST:PORT (tls://HOST:PORT)'


def storage_place(value: str) -> str:
    """A bucket and a prefix; keys in the URL are refused before, as in every value."""
    if not value:
        return ""
    try:
        parts = urlsplit(value)
    except ValueError:
        return "is not a URL"
    plain = parts.scheme == "s3" and parts.netloc and not (parts.query or parts.fragment or "@" in value)
    return "" if plain and ".." not in parts.path.split("/") else 'must be "" or s3://BUCKET/PREFIX'
