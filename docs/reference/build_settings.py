"""Write ``settings.md`` beside this file: every setting with its type, default and meaning.

Run it after a setting was added or changed: ``python docs/reference/build_settings.py``.
A test compares the page with what this script would write.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.config import Leaf, leaves, secret_keys, sections, toml_value, variable
from workbench.config.sections import Secrets
from workbench.config.settings import LOCATION_KEYS, attributes_of
from workbench.config.sources import OVERRIDABLE, RESERVED

PAGE = Path(__file__).with_name("settings.md")
_HEAD = """\
# Settings

Written by `docs/reference/build_settings.py`; do not edit.

Values come from `workbench.toml`, then from environment variables, then from the overrides of one call.
A later source may add to an earlier one but not contradict it; only {overridable} may
differ (the mode only down to `replay`). An unknown name in any source is an error, and so is a value of the
wrong type: text is not a number, `1` is not `true`. All errors are listed at once. `workbench config show`
prints the effective value of every setting with its source; `workbench config hash` prints the hash that
every decision and artifact carries. The hash covers everything below except secrets and {locations}.

The variable of a setting is `WORKBENCH_` and its name in capitals with `__` for the dot, for example
`{example}`. Lists are written as JSON or separated by commas. Variables of the
process that are no settings: {reserved}.
"""


def page() -> str:
    """The whole page as Markdown."""
    text = _HEAD.format(
        overridable=" and ".join(f"`{key}`" for key in sorted(OVERRIDABLE)),
        locations=", ".join(f"`{key}`" for key in sorted(LOCATION_KEYS)),
        example=variable("limits.max_order_shares"),
        reserved=", ".join(f"`{name}`" for name in sorted(RESERVED)),
    )
    parts = [text, _table("", None)]
    parts += [_table(name, kind) for name, kind in sections().items()]
    parts.append(_secrets())
    return "\n".join(parts)


def _table(section: str, kind: type | None) -> str:
    rows = [leaf for leaf in leaves().values() if leaf.key.rpartition(".")[0] == section]
    title = f"## [{section}]" if section else "## Without a section"
    about = f"\n\n{(kind.__doc__ or '').strip().splitlines()[0]}" if kind else ""
    head = "\n\n| setting | type | default | meaning |\n|---|---|---|---|\n"
    return f"{title}{about}{head}{''.join(_row(leaf) for leaf in rows)}"


def _row(leaf: Leaf) -> str:
    default = "required" if leaf.required else f"`{toml_value(leaf.default)}`"
    return f"| `{leaf.key}` | {_type(leaf.kind)} | {default} | {leaf.description} |\n"


def _type(kind: Any) -> str:
    words = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    words |= {tuple[str, ...]: "list of text", Mapping[str, str]: "table of text"}
    return words.get(kind) or " or ".join(f"`{member.value}`" for member in kind)


def _secrets() -> str:
    described = attributes_of(Secrets)
    rows = "".join(
        f"| `{key.partition('.')[2]}` | `{variable(key)}` | {described[key.partition('.')[2]]} |\n"
        for key in secret_keys()
    )
    return (
        "## Secrets\n\nNever in the file, in an override or in a URL. Each is an environment variable, a "
        "file of its "
        "name in the folder that `WORKBENCH_SECRETS_DIR` names, or a password of its name in the keyring, "
        "under "
        "the service that `WORKBENCH_SECRETS_KEYRING` names; the keyring is not asked otherwise. See "
        "[keep secrets](../how-to/secrets.md).\n\n"
        f"| file | variable | meaning |\n|---|---|---|\n{rows}"
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
