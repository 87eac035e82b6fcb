"""The command line: thin commands over `bootstrap`, one table of exit codes, `--json` everywhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from workbench.kernel_cache import name_kernel_cache

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; the entry point of the `workbench` program."""
    if arguments is None:  # the program itself, not a call from another one
        from workbench.cli.sealing import seal_process

        seal_process()
    name_kernel_cache()
    from workbench.cli.boundary import run  # only now may numba be imported

    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["dashboards"]:
        from workbench.cli.pages import build
    else:
        from workbench.cli.app import build
    run(build, given)
