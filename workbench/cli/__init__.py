"""The command line: thin commands over `bootstrap`, one table of exit codes, `--json` everywhere."""

from workbench.cli.app import main

__all__ = ["main"]
