"""A keyring for processes that a test starts: PYTHON_KEYRING_BACKEND names it, KEYRING_FILE its content."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend


class FileKeyring(KeyringBackend):
    """Passwords from a JSON file {"service user": "password"}; it keeps none."""

    priority = 1  # type: ignore[assignment]

    def get_password(self, service: str, username: str) -> str | None:
        kept: dict[str, str] = json.loads(Path(os.environ["KEYRING_FILE"]).read_text(encoding="utf-8"))
        return kept.get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError

    def delete_password(self, service: str, username: str) -> None:
        raise NotImplementedError
