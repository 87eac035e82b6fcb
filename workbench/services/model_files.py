"""Model files: skops archives with the same bytes for the same model, read only when every type is known.

Loading through skops imports all of scikit-learn, which costs seconds in every notebook kernel. A
trading session therefore reads the four arrays of a linear pipeline straight from the archive
(`read_forecast_model`); training loads each new file through skops as well (`read_pipeline`) and refuses
to register a model unless both give the same forecasts.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.forecast import ForecastModel
from workbench.core.types import Floats
from workbench.errors import ManifestMismatch

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

SCHEMA = "schema.json"
#: The skops file protocol that is written and read; an older one would bring back older, laxer readers.
PROTOCOL = 2
#: Everything a model file may contain, as (skops loader, type). Nothing else is ever constructed.
ALLOWED_TYPES = frozenset(
    {
        ("ObjectNode", "sklearn.pipeline.Pipeline"),
        ("ObjectNode", "sklearn.preprocessing._data.StandardScaler"),
        ("ObjectNode", "sklearn.linear_model._ridge.Ridge"),
        ("ObjectNode", "sklearn.linear_model._coordinate_descent.ElasticNet"),
        ("NdArrayNode", "numpy.ndarray"),
        ("NdArrayNode", "numpy.float64"),
        ("NdArrayNode", "numpy.int64"),
        ("DictNode", "builtins.dict"),
        ("ListNode", "builtins.list"),
        ("TupleNode", "builtins.tuple"),
        ("JsonNode", "builtins.str"),
        ("TypeNode", "builtins.str"),
    }
)

_EPOCH = (1980, 1, 1, 0, 0, 0)


def model_bytes(pipeline: Pipeline) -> bytes:
    """The pipeline as a skops archive; equal pipelines have equal bytes in every process.

    skops names entries and objects by memory address and stamps the time; both are replaced by position
    and a constant.
    """
    import skops.io

    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(pipeline))) as archive:
        schema = json.loads(archive.read(SCHEMA))
        arrays = {name: archive.read(name) for name in archive.namelist() if name != SCHEMA}
    names: dict[str, str] = {}
    for number, node in enumerate(_nodes(schema)):
        node["__id__"] = number
        if "file" in node:
            node["file"] = names.setdefault(node["file"], f"{len(names)}.npy")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression=zipfile.ZIP_STORED) as archive:
        for old, new in names.items():
            archive.writestr(zipfile.ZipInfo(new, _EPOCH), arrays[old])
        archive.writestr(zipfile.ZipInfo(SCHEMA, _EPOCH), json.dumps(schema, separators=(",", ":")))
    return buffer.getvalue()


def read_pipeline(content: bytes) -> Pipeline:
    """The scikit-learn pipeline of a model file, loaded by skops after every type in it was checked.

    Raises
    ------
    ManifestMismatch
        The file is no archive, or holds a type that is not in `ALLOWED_TYPES`.
    """
    import skops.io

    _checked_schema(content)
    return skops.io.loads(content, trusted=[])


def read_forecast_model(content: bytes, features: tuple[str, ...]) -> ForecastModel:
    """The forecasts of a model file without scikit-learn, after every type in it was checked.

    Raises
    ------
    ManifestMismatch
        As for `read_pipeline`; or it is no standardised linear model of these features.
    """
    schema = _checked_schema(content)
    try:
        scaler, ridge = (
            step["content"][1]["content"]["content"]
            for step in schema["content"]["content"]["steps"]["content"]
        )
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            center, scale = _array(archive, scaler["mean_"]), _array(archive, scaler["scale_"])
            coefficients, intercept = _array(archive, ridge["coef_"]), _array(archive, ridge["intercept_"])
        return ForecastModel(features, center, scale, coefficients, float(intercept))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise _unusable(f"it is no standardised linear model of {len(features)} features: {error}") from error


def _checked_schema(content: bytes) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            schema = json.loads(archive.read(SCHEMA))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise _unusable(f"it is not a skops archive: {error}") from error
    if not isinstance(schema, dict) or schema.get("protocol") != PROTOCOL:
        raise _unusable(f"it does not have skops protocol {PROTOCOL}")
    found = {
        (str(node["__loader__"]), f"{node.get('__module__')}.{node.get('__class__')}")
        for node in _nodes(schema)
    }
    foreign = sorted(f"{kind} ({loader})" for loader, kind in found - ALLOWED_TYPES)
    if foreign or not found:
        raise _unusable(f"it holds types that are not allowed: {', '.join(foreign) or 'none at all'}")
    return schema


def _nodes(part: Any) -> list[dict[str, Any]]:
    if isinstance(part, list):
        return [node for item in part for node in _nodes(item)]
    if not isinstance(part, dict):
        return []
    below = [node for value in part.values() for node in _nodes(value)]
    return [part, *below] if "__loader__" in part else below


def _array(archive: zipfile.ZipFile, node: dict[str, Any]) -> Any:
    return np.load(io.BytesIO(archive.read(node["file"])), allow_pickle=False)


def _unusable(what: str) -> ManifestMismatch:
    return ManifestMismatch(
        f"model file cannot be used: {what}", next_step="train the model again: `workbench train`"
    )


def library_versions() -> dict[str, str]:
    """Versions of the libraries that a fit depends on, by name."""
    import scipy
    import sklearn
    import skops

    return {
        "numpy": np.__version__, "scikit-learn": sklearn.__version__, "scipy": scipy.__version__,
        "skops": skops.__version__,
    }  # fmt: skip


def prove_readable(content: bytes, matrix: Floats, names: tuple[str, ...]) -> None:
    """Refuse a file whose two readers do not forecast the same."""
    ours = read_forecast_model(content, names).forecast(matrix)
    theirs = read_pipeline(content).predict(matrix)
    if not np.max(np.abs(ours - theirs)) <= 1e-6:
        raise ManifestMismatch(
            "the model file forecasts differently when scikit-learn reads it",
            next_step="check that the environment is the locked one: `make env`",
        )
