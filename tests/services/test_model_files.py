"""Model files: same model, same bytes; nothing is constructed that is not on the list; no pickle."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from workbench.errors import ManifestMismatch
from workbench.services.model_files import SCHEMA, model_bytes, read_forecast_model, read_pipeline

NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def fitted():
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    draw = np.random.default_rng(5)
    matrix = draw.normal([0.0, 3.0, -1.0], [1.0, 2.0, 0.1], size=(300, 3))
    target = matrix @ [0.01, -0.002, 0.2] + draw.normal(0.0, 0.01, 300)
    return Pipeline([("scale", StandardScaler()), ("ridge", Ridge(alpha=1.0))]).fit(matrix, target), matrix


@pytest.fixture(scope="module")
def content(fitted):
    return model_bytes(fitted[0])


def rewritten(content: bytes, change) -> bytes:
    """The archive with its schema changed and all else as it was."""
    source, buffer = zipfile.ZipFile(io.BytesIO(content)), io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in source.namelist():
            if name != SCHEMA:
                archive.writestr(name, source.read(name))
        archive.writestr(SCHEMA, json.dumps(change(json.loads(source.read(SCHEMA)))))
    return buffer.getvalue()


def test_both_ways_of_reading_a_file_give_the_same_forecasts(fitted, content):
    pipeline, matrix = fitted
    expected = pipeline.predict(matrix)
    assert np.array_equal(read_pipeline(content).predict(matrix), expected)
    light = read_forecast_model(content, NAMES).forecast(matrix)
    assert len(light) == len(expected)
    assert np.max(np.abs(light - expected)) <= 0.5e-6 + 1e-12
    assert np.std(light) > 0.01


def test_the_archive_names_neither_time_nor_memory(fitted, content):
    assert model_bytes(fitted[0]) == content == model_bytes(read_pipeline(content))
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
    assert archive.namelist() == [f"{number}.npy" for number in range(6)] + [SCHEMA]


def test_reading_forecasts_imports_neither_scikit_learn_nor_skops(content):
    code = (
        "import sys; from workbench.services.model_files import read_forecast_model\n"
        "model = read_forecast_model(sys.stdin.buffer.read(), ('a', 'b', 'c'))\n"
        "print(model.intercept, sorted({'sklearn', 'skops', 'pickle5'} & set(sys.modules)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], input=content, check=True, capture_output=True
    ).stdout.decode()
    assert output.split(maxsplit=1)[1].strip() == "[]"


@pytest.mark.parametrize("read", [read_pipeline, lambda content: read_forecast_model(content, NAMES)])
class TestRefusals:
    """Each reader refuses by itself."""

    def test_what_is_no_archive_is_refused_pickles_first(self, read, fitted):
        for content in (b"", b"PK", pickle.dumps(fitted[0]), pickle.dumps({"a": 1})):
            with pytest.raises(ManifestMismatch, match="not a skops archive"):
                read(content)

    @pytest.mark.parametrize(
        ("loader", "module", "name"),
        [
            ("ObjectNode", "sklearn.linear_model._base", "LinearRegression"),  # skops itself would trust it
            ("FunctionNode", "builtins", "eval"),
            ("ObjectNode", "os", "system"),
            ("TypeNode", "sklearn.linear_model._ridge", "Ridge"),
            ("MethodNode", "numpy", "ndarray"),
        ],
    )
    def test_a_type_not_on_the_list_is_refused_wherever_it_hides(self, read, content, loader, module, name):
        foreign = {"__class__": name, "__module__": module, "__loader__": loader, "content": {}, "__id__": 99}

        def plant(schema):
            schema["content"]["content"]["memory"] = foreign
            return schema

        with pytest.raises(ManifestMismatch, match=f"not allowed: {module}.{name}") as refusal:
            read(rewritten(content, plant))
        assert "workbench train" in refusal.value.next_step

    def test_an_older_protocol_is_refused(self, read, content):
        for protocol in (0, 1, 3, True, None, "2"):
            with pytest.raises(ManifestMismatch, match="protocol"):
                read(rewritten(content, lambda schema, value=protocol: {**schema, "protocol": value}))

    def test_a_schema_that_is_not_an_object_is_refused(self, read, content):
        for schema in ([], {}, {"protocol": 2}, "text"):
            with pytest.raises(ManifestMismatch, match="cannot be used"):
                read(rewritten(content, lambda _schema, value=schema: value))


def test_a_model_of_another_number_of_features_is_refused(content):
    with pytest.raises(ManifestMismatch, match="linear model of 2 features"):
        read_forecast_model(content, ("a", "b"))


def test_a_pipeline_of_other_steps_is_refused(fitted):
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import Pipeline

    _, matrix = fitted
    lone = Pipeline([("ridge", Ridge())]).fit(matrix, matrix[:, 0])
    with pytest.raises(ManifestMismatch, match="no standardised linear model"):
        read_forecast_model(model_bytes(lone), NAMES)
