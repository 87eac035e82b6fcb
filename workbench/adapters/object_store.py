"""Files on object storage that speaks Amazon's S3, through pyarrow: whole or not there at all.

An object appears when its upload is complete, never in part. Keys come as secrets: what the machine's
environment or profile would offer is not looked at.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from workbench.errors import ConfigError, StorageFailed

_PIECE: Final = 1 << 22  #: bytes copied at once
_CONNECT_S, _REQUEST_S, _ATTEMPTS = 10.0, 60.0, 3


class ObjectStore:
    """What lies below one URL.

    Parameters
    ----------
    url : str
        s3://BUCKET/PREFIX.
    endpoint : str, default ""
        Address of the service; "" = Amazon's.
    region : str, default ""
        "" = us-east-1 with an endpoint of one's own, else the bucket's.
    key, secret : str

    Raises
    ------
    ConfigError
        No URL of that kind, or a key is missing.
    """

    def __init__(self, url: str, *, endpoint: str = "", region: str = "", key: str, secret: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc or parts.query or "@" in parts.netloc:
            raise ConfigError(f"{url!r} is no object storage", next_step="write it as s3://BUCKET/PREFIX")
        if not (key and secret):
            raise ConfigError(
                f"object storage {url} needs the secrets storage_key and storage_secret",
                next_step="set WORKBENCH_SECRETS__STORAGE_KEY and WORKBENCH_SECRETS__STORAGE_SECRET",
            )
        self.url = url.rstrip("/")
        self._base = f"{parts.netloc}{parts.path.rstrip('/')}"
        where = urlsplit(endpoint)
        with _spoken(self.url):
            self._files = _file_system(where.scheme, where.netloc, region, key, secret)

    def __repr__(self) -> str:
        return f"ObjectStore({self.url!r})"

    def names(self, below: str = "") -> tuple[str, ...]:
        """Names of all objects below a prefix, relative to the URL, sorted."""
        from pyarrow import fs

        root = self._path(below) if below else self._base
        with _spoken(f"{self.url}/{below}"):
            found = self._files.get_file_info(fs.FileSelector(root, allow_not_found=True, recursive=True))
        return tuple(sorted(one.path[len(self._base) + 1 :] for one in found if one.is_file))

    def read(self, name: str) -> bytes | None:
        """The bytes of a small object; None when it is not there."""
        from pyarrow import fs

        with _spoken(f"{self.url}/{name}"):
            if self._files.get_file_info(self._path(name)).type != fs.FileType.File:
                return None
            with self._files.open_input_stream(self._path(name)) as stream:
                content: bytes = stream.read()
        return content

    def send(self, path: Path, name: str) -> None:
        """Copy a file; readers see the old object or the whole new one."""
        with _spoken(f"{self.url}/{name}"), path.open("rb") as file:
            with self._files.open_output_stream(self._path(name)) as stream:
                shutil.copyfileobj(file, stream, _PIECE)

    def fetch(self, name: str, path: Path) -> None:
        """Copy an object to a file, which has its name only when it is whole."""
        partial = path.with_name(f"{path.name}.tmp")
        with _spoken(f"{self.url}/{name}"):
            try:
                with self._files.open_input_stream(self._path(name)) as stream, partial.open("wb") as file:
                    shutil.copyfileobj(stream, file, _PIECE)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)

    def _path(self, name: str) -> str:
        if name.startswith("/") or ".." in name.split("/"):
            raise ConfigError(f"{name!r} is no name of an object", next_step="name it below the URL")
        return f"{self._base}/{name}"


def _file_system(scheme: str, address: str, region: str, key: str, secret: str) -> Any:
    from pyarrow import fs

    more: dict[str, Any] = {"region": region} if region else {}
    if address:
        more = {"region": region or "us-east-1", "endpoint_override": address, "scheme": scheme}
    return fs.S3FileSystem(
        access_key=key, secret_key=secret, connect_timeout=_CONNECT_S, request_timeout=_REQUEST_S,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS), **more,
    )  # fmt: skip


@contextlib.contextmanager
def _spoken(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # pyarrow's errors of a file system are OSErrors
        raise StorageFailed(
            f"object storage {what}: {error}",
            next_step="check address, keys and bucket; nothing here was changed, so run the command again",
        ) from error
