"""What every registry must do, and what the one of files does when the disk misbehaves (F39)."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.adapters.registry import FileRegistry
from workbench.core.ports import Registry
from workbench.errors import ManifestMismatch, StorageFailed

CONTENT = bytes(range(256)) * 8
MANIFEST = {"seed": 7, "features": ["momentum_20"], "metrics": {"mean_ic": 0.1}}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return FileRegistry(tmp_path / "registry")


@contextlib.contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """A disk that takes no more: the system refuses to let any file grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def artifact_files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def test_what_was_put_is_what_is_got(registry):
    artifact_id = registry.put("model", CONTENT, MANIFEST)
    assert registry.get("model", artifact_id) == (CONTENT, MANIFEST)
    assert registry.list("model") == (artifact_id,)


def test_the_id_depends_on_content_manifest_and_kind_and_on_nothing_else(registry, tmp_path):
    first = registry.put("model", CONTENT, MANIFEST)
    assert registry.put("model", CONTENT, dict(reversed(MANIFEST.items()))) == first
    assert FileRegistry(tmp_path / "elsewhere").put("model", CONTENT, MANIFEST) == first
    others = {
        registry.put("model", CONTENT + b"\0", MANIFEST),
        registry.put("model", CONTENT, {**MANIFEST, "seed": 8}),
        registry.put("cost_model", CONTENT, MANIFEST),
    }
    assert len(others | {first}) == 4
    assert registry.list("cost_model") not in ((), registry.list("model"))


def test_an_unknown_artifact_is_refused_with_the_next_step(registry):
    registry.put("model", CONTENT, MANIFEST)
    for wrong in ("0" * 64, "", "..", "../model", "model"):
        with pytest.raises(ManifestMismatch, match="no model") as refusal:
            registry.get("model", wrong)
        assert "workbench candidates" in refusal.value.next_step
    assert registry.list("nothing") == ()


@pytest.mark.parametrize("name", ["content.bin", "manifest.json", "hashes.json"])
def test_one_changed_byte_is_refused_and_its_file_is_named(registry, tmp_path, name):
    artifact_id = registry.put("model", CONTENT, MANIFEST)
    path = tmp_path / "registry" / "model" / artifact_id / name
    good = path.read_bytes()
    for position in {0, len(good) // 2, len(good) - 1}:
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        with pytest.raises(ManifestMismatch, match=name) as refusal:
            registry.get("model", artifact_id)
        assert refusal.value.path == str(path)
        assert "workbench train" in refusal.value.next_step
    for damaged in (good[:-1], good + b" ", b""):
        path.write_bytes(damaged)
        with pytest.raises(ManifestMismatch, match=name):
            registry.get("model", artifact_id)
    path.unlink()
    with pytest.raises(ManifestMismatch, match=name):
        registry.get("model", artifact_id)
    path.write_bytes(good)
    assert registry.get("model", artifact_id) == (CONTENT, MANIFEST)


def test_storing_over_an_altered_artifact_does_not_hide_the_alteration(registry, tmp_path):
    artifact_id = registry.put("model", CONTENT, MANIFEST)
    (tmp_path / "registry" / "model" / artifact_id / "content.bin").write_bytes(b"other")
    with pytest.raises(ManifestMismatch, match=r"content\.bin"):
        registry.put("model", CONTENT, MANIFEST)


def test_an_artifact_moved_to_another_name_or_kind_is_refused(registry, tmp_path):
    root = tmp_path / "registry"
    artifact_id = registry.put("model", CONTENT, MANIFEST)
    (root / "model" / artifact_id).rename(root / "model" / ("0" * 64))
    with pytest.raises(ManifestMismatch, match=r"hashes\.json"):
        registry.get("model", "0" * 64)
    (root / "cost_model").mkdir()
    (root / "model" / ("0" * 64)).rename(root / "cost_model" / artifact_id)
    with pytest.raises(ManifestMismatch, match="cost model"):
        registry.get("cost_model", artifact_id)


def test_a_full_disk_is_storage_failed_and_nothing_is_half_there(registry, tmp_path):
    kept = registry.put("model", b"small", MANIFEST)
    before = artifact_files(tmp_path)
    with files_limited_to(1_024), pytest.raises(StorageFailed, match="could not store") as failure:
        registry.put("model", CONTENT, MANIFEST)
    assert failure.value.exit_code == 5
    assert "space" in failure.value.next_step
    assert artifact_files(tmp_path) == before
    assert registry.list("model") == (kept,)
    assert registry.get("model", registry.put("model", CONTENT, MANIFEST))[0] == CONTENT


def test_a_file_where_the_folder_should_be_is_storage_failed(tmp_path):
    (tmp_path / "registry").write_text("not a folder")
    with pytest.raises(StorageFailed, match="could not store"):
        FileRegistry(tmp_path / "registry").put("model", CONTENT, MANIFEST)


def test_a_process_that_dies_while_writing_leaves_nothing_that_is_listed(tmp_path):
    code = """
import os, sys
from pathlib import Path
from workbench.adapters import registry
registry.os.fsync = lambda handle: os._exit(9)
registry.FileRegistry(Path(sys.argv[1])).put("model", b"content", {"seed": 1})
"""
    died = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert died.returncode == 9
    assert artifact_files(tmp_path), "the process died before it wrote anything: the test proves nothing"
    registry = FileRegistry(tmp_path)
    assert registry.list("model") == ()
    artifact_id = registry.put("model", b"content", {"seed": 1})
    assert registry.list("model") == (artifact_id,)


def test_an_artifact_that_another_process_stored_first_is_the_same_artifact(tmp_path, monkeypatch):
    registry, rival = FileRegistry(tmp_path), FileRegistry(tmp_path)
    rename = Path.rename

    def rival_first(self: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        rival.put("model", CONTENT, MANIFEST)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rival_first)
    artifact_id = registry.put("model", CONTENT, MANIFEST)
    assert registry.get("model", artifact_id) == (CONTENT, MANIFEST)
    assert [entry for entry in os.listdir(tmp_path / "model") if entry.startswith(".")] == []


def test_kinds_that_are_paths_and_manifests_with_nan_are_refused(registry):
    for kind in ("", "..", "a/b", "Model", "."):
        with pytest.raises(ValueError, match="kind"):
            registry.put(kind, CONTENT, MANIFEST)
        assert registry.list(kind) == ()
    with pytest.raises(ValueError, match="JSON"):
        registry.put("model", CONTENT, {"metric": float("nan")})
    assert registry.list("model") == ()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300), note=st.text(max_size=20), number=st.floats(allow_nan=False))
def test_any_content_and_manifest_come_back_exactly(tmp_path, content, note, number):
    registry = FileRegistry(tmp_path / "any")
    manifest = {"note": note, "number": number if abs(number) != float("inf") else 0.0}
    artifact_id = registry.put("model", content, manifest)
    assert registry.get("model", artifact_id) == (content, json.loads(json.dumps(manifest)))
