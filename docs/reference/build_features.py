"""Write ``features.md`` beside this file: every feature and label with its lookback, unit and meaning.

Run it after a feature was added or changed: ``python docs/reference/build_features.py``.
A test compares the page with what this script would write.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from workbench.core.features import DEFAULT_FEATURES, families, registered_features
from workbench.core.labels import LABELS

FOLDER = Path(__file__).parent
_HEAD = """\
# Features and labels

Written by `docs/reference/build_features.py`; do not edit. `workbench features` prints the same list.

The setting `model.features` names the columns of a desk's models, in order; the default is
{default}.

Every feature sees exactly its lookback: the described bar and those before it. It is missing where a bar of
that window is missing, does not change with a split, and does not depend on the order of the symbols. Those
of the family `cross_section` compare the symbols of the universe and are missing when there is only one.

To add one, decorate a function in a file of `workbench/core/features/families` with `@feature(...)` and run
this script: `tests/core/test_every_feature.py` finds it and holds it to all of this.
"""
_LABELS = """\

## Labels

What a model learns to foresee, counted in exchange sessions. Labels use the future and are never features;
each knows the time at which it was settled, and training drops rows whose label was not settled before the
sessions that are tested. Only `forward_return` forecasts what the policy trades on: candidates of the others
can be compared, not accepted.

| label | unit | meaning |
|---|---|---|
"""


def pages() -> dict[str, str]:
    """The text of every page by its name."""
    parts = [_HEAD.format(default=", ".join(f"`{name}`" for name in DEFAULT_FEATURES))]
    for family, members in groupby(registered_features(), key=lambda one: one.family):
        about = (getattr(families, family).__doc__ or "").strip().splitlines()[0]
        parts.append(
            f"\n## {family}\n\n{about}\n\n| feature | lookback | unit | meaning |\n|---|---|---|---|\n"
        )
        parts += [f"| `{one.name}` | {one.lookback} | {one.unit} | {one.meaning} |\n" for one in members]
    parts.append(_LABELS)
    parts += [f"| `{label.name}` | {label.unit} | {label.meaning} |\n" for label in LABELS.values()]
    return {"features.md": "".join(parts)}


if __name__ == "__main__":
    for _name, _text in pages().items():
        (FOLDER / _name).write_text(_text, encoding="utf-8")
