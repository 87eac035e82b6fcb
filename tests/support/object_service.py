"""A service that speaks S3 on a free port of this machine, and settings that name it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import replace

from workbench.config import Settings
from workbench.config.secret import Secret

BUCKET = "desk"
KEY, SECRET = "made-up-key-id", "made-up-storage-secret"


@contextlib.contextmanager
def object_service() -> Iterator[str]:
    """Address of the service; it holds one empty bucket and forgets everything at its end."""
    from moto.server import ThreadedMotoServer
    from pyarrow import fs

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        maker = fs.S3FileSystem(
            access_key=KEY, secret_key=SECRET, region="us-east-1", endpoint_override=f"{host}:{port}",
            scheme="http", allow_bucket_creation=True,
        )  # fmt: skip
        maker.create_dir(BUCKET)
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def stored_at(settings: Settings, endpoint: str, prefix: str) -> Settings:
    """The settings with the service as their object storage."""
    scale = replace(settings.scale, storage=f"s3://{BUCKET}/{prefix}", storage_endpoint=endpoint)
    secrets = replace(settings.secrets, storage_key=Secret(KEY), storage_secret=Secret(SECRET))
    return replace(settings, scale=scale, secrets=secrets)
