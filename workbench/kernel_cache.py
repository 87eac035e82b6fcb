"""Where compiled kernels are kept: one folder for each version of the sources they were compiled from.

Numba notices a change of the file that holds a kernel, but not of the files whose kernels it calls. A
folder named by a hash of all core sources makes a stale kernel impossible, after an edit and after an
upgrade alike. The folder is only named here; numba makes it when it first compiles.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

_CORE = Path(__file__).resolve().parent / "core"
_VARIABLE = "NUMBA_CACHE_DIR"
_PREFIX = "workbench-kernels-"


def name_kernel_cache() -> str:
    """Tell numba where to keep kernels, unless the user has told it; returns the folder.

    Has to be called before numba is imported, which the door and the command line do.
    """
    chosen = os.environ.get(_VARIABLE, "")
    if chosen and not Path(chosen).name.startswith(_PREFIX):
        return chosen
    sha = hashlib.sha256()
    for path in sorted(_CORE.rglob("*.py")):
        sha.update(path.relative_to(_CORE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    writable = os.access(_CORE, os.W_OK)
    root = _CORE / "__pycache__" if writable else Path.home() / ".cache"
    os.environ[_VARIABLE] = str(root / f"{_PREFIX}{sha.hexdigest()[:16]}")
    return os.environ[_VARIABLE]
