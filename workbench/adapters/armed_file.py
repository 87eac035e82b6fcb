"""The ARMED file: its presence, with the right account and epoch, is half of the permission to trade."""

from __future__ import annotations

import json
import os
from pathlib import Path

from workbench.errors import StorageFailed


class ArmedFileOnDisk:
    """The file `ARMED` in the desk's folder.

    Parameters
    ----------
    path : Path
        Where the file lives. Whoever deletes it halts the desk, with or without a database.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> tuple[str, int] | None:
        """Account and epoch; None when the file is absent, unreadable or malformed (all mean HALTED)."""
        try:
            content = json.loads(self.path.read_text())
            account, epoch = content["account"], content["epoch"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if not isinstance(account, str) or type(epoch) is not int:
            return None
        return account, epoch

    def write(self, account: str, epoch: int) -> None:
        """Write it durably: a temporary name, flushed, then renamed into place."""
        temporary = self.path.with_name(self.path.name + ".tmp")
        try:
            with temporary.open("w") as file:
                json.dump({"account": account, "epoch": epoch}, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            raise StorageFailed(
                f"cannot write {self.path}: {error.strerror}",
                next_step="free space or mend the folder's permissions, then `workbench resume` again",
                path=str(self.path),
            ) from error

    def remove(self) -> None:
        """Remove the file; absent already is fine, any other failure is raised."""
        try:
            self.path.unlink(missing_ok=True)
            _sync_folder(self.path.parent)
        except OSError as error:
            raise StorageFailed(
                f"cannot remove {self.path}: {error.strerror}",
                next_step="remove the file by hand: while it exists the desk may be permitted to trade",
                path=str(self.path),
            ) from error


def _sync_folder(folder: Path) -> None:
    """Make a rename or a removal survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
