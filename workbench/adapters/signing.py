"""Ed25519 signatures: keys made from a passphrase (scrypt) or kept by OpenSSH.

The journal holds public keys only. A passphrase key is derived when it is used: its salt and the cost of
the derivation stand in the journal, and nobody but the person can turn them into the private half.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from workbench.errors import Refused, UsageError

#: Cost of a derivation: 2**15 blocks of 8 x 128 bytes, 32 MiB, about a tenth of a second.
SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**15, 8, 1
SHORTEST_PASSPHRASE = 12
_SOURCE = re.compile(r"scrypt n=(\d{1,8}) r=(\d{1,3}) p=(\d{1,3}) salt=([0-9a-f]{32,64})")


@dataclass(frozen=True)
class PublicKey:
    """What the journal keeps of a key: its public half in hex, and where the private half comes from."""

    public_key: str
    key_source: str


@dataclass(frozen=True)
class Credentials:
    """The key at hand: neither value is ever printed or stored.

    Attributes
    ----------
    passphrase : callable () -> str, or None
        Gives the passphrase when it is needed, "" when there is none.
    ssh_key : Path or None
        A private OpenSSH key of type ed25519.
    """

    passphrase: Callable[[], str] | None = None
    ssh_key: Path | None = None

    def __repr__(self) -> str:
        return "Credentials(***)"


class Ed25519Signing:
    """Makes signatures with the credentials at hand and checks everybody's.

    Parameters
    ----------
    credentials : Credentials, optional
        Without them nothing can be signed, only checked.
    wall_ns : callable () -> int
        Wall-clock time, UTC nanoseconds.
    """

    def __init__(
        self, credentials: Credentials | None = None, *, wall_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._credentials = credentials or Credentials()
        self._wall_ns = wall_ns

    def stamp(self) -> tuple[int, str]:
        """Wall-clock time in UTC nanoseconds and 128 random bits in hex."""
        return self._wall_ns(), secrets.token_hex(16)

    def sign(self, text: str, *, public_key: str, key_source: str) -> str:
        """The signature in hex; "" when no key is at hand."""
        key = self._private_key(key_source)
        if key is None:
            return ""
        if _hex(key.public_key()) != public_key:
            raise Refused(
                "the passphrase or key file at hand does not belong to the registered key",
                next_step="use your own passphrase or key, or have your key replaced: `workbench people key`",
            )
        return key.sign(text.encode()).hex()

    def verify(self, text: str, *, public_key: str, signature: str) -> bool:
        """Whether the holder of the key signed exactly this text; anything malformed is a no."""
        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
            key.verify(bytes.fromhex(signature), text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True

    def _private_key(self, key_source: str) -> Ed25519PrivateKey | None:
        if key_source.startswith("scrypt "):
            passphrase = self._credentials.passphrase() if self._credentials.passphrase else ""
            return derive(passphrase, key_source) if passphrase else None
        if self._credentials.ssh_key is None:
            return None
        passphrase = self._credentials.passphrase() if self._credentials.passphrase else ""
        return read_private_key(self._credentials.ssh_key, passphrase)


def passphrase_key(passphrase: str) -> PublicKey:
    """A new key from a passphrase and a fresh salt.

    Raises
    ------
    UsageError
        The passphrase is too short to hold against guessing.
    """
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise UsageError(
            f"a passphrase needs {SHORTEST_PASSPHRASE} characters at least",
            next_step="choose several words that nobody would guess together",
        )
    source = f"scrypt n={SCRYPT_N} r={SCRYPT_R} p={SCRYPT_P} salt={secrets.token_hex(16)}"
    return PublicKey(_hex(derive(passphrase, source).public_key()), source)


def derive(passphrase: str, key_source: str) -> Ed25519PrivateKey:
    """The private key that a passphrase and the stored salt make.

    Raises
    ------
    Refused
        The stored description asks for less than this release demands: somebody weakened it.
    """
    match = _SOURCE.fullmatch(key_source)
    n, r, p = (int(part) for part in match.groups()[:3]) if match else (0, 0, 0)
    if match is None or n < SCRYPT_N or n & (n - 1) or n > 2**20 or not (8 <= r <= 32 and 1 <= p <= 16):
        raise Refused(
            "the registered key is not described as this release understands it",
            next_step="run `workbench people verify`, then have the key replaced: `workbench people key`",
        )
    seed = Scrypt(salt=bytes.fromhex(match[4]), length=32, n=n, r=r, p=p).derive(passphrase.encode())
    return Ed25519PrivateKey.from_private_bytes(seed)


def read_public_key(path: Path) -> PublicKey:
    """The key of an OpenSSH public key file (`id_ed25519.pub`).

    Raises
    ------
    UsageError
        It cannot be read, holds a private key, or is not of type ed25519.
    """
    try:
        content = path.read_bytes()
        key = serialization.load_ssh_public_key(content.strip())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(
            f"{path} is no OpenSSH public key",
            next_step="name the file that ends in .pub; make one with `ssh-keygen -t ed25519`",
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(
            f"{path} holds a key of another type", next_step="make one with `ssh-keygen -t ed25519`"
        )
    return PublicKey(_hex(key), "ssh-ed25519")


def read_private_key(path: Path, passphrase: str) -> Ed25519PrivateKey:
    """The private half of a key pair, opened with its passphrase when it has one.

    An OpenSSH file without a passphrase, or a PKCS8 file with or without one: what OpenSSH itself
    encrypts needs a library that this package does not bring.

    Raises
    ------
    UsageError
        It cannot be read or opened, or is not of type ed25519.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", next_step="check the path") from error
    load = serialization.load_pem_private_key
    if b"OPENSSH PRIVATE KEY" in content:
        load = serialization.load_ssh_private_key
    try:
        try:
            key: object = load(content, password=None)
        except TypeError:  # the file has a passphrase
            key = load(content, password=passphrase.encode()) if passphrase else None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(
            f"{path} cannot be opened as a private key of type ed25519",
            next_step="name the private file and give its passphrase; one that OpenSSH encrypted is "
            "converted in a copy by `ssh-keygen -p -m PKCS8 -f COPY`",
        )
    return key


def read_passphrase(source: str) -> str:
    """The first line of a file, or of an open file descriptor written as "fd:3".

    Raises
    ------
    UsageError
        It cannot be read, or holds nothing.
    """
    try:
        if source.startswith("fd:"):
            with open(int(source[3:]), closefd=False) as stream:
                line = stream.readline()
        else:
            with Path(source).open() as stream:
                line = stream.readline()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"no passphrase can be read from {source}", next_step="name a file, or fd:N for a descriptor"
        ) from error
    if not (passphrase := line.rstrip("\r\n")):
        raise UsageError(f"{source} holds no passphrase", next_step="write it on the first line")
    return passphrase


def _hex(key: Ed25519PublicKey) -> str:
    return key.public_bytes_raw().hex()
