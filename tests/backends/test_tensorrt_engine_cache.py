# SPDX-License-Identifier: Apache-2.0
"""Engine sets on disk: which one fits, and why another does not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from amodal_ros.backends.tensorrt import engine_cache
from amodal_ros.backends.tensorrt.engine_cache import find_engine_set, load_engine_set
from amodal_ros.errors import BackendError, ManifestError
from tests.backends.tensorrt_support import MACHINE, engine_key, write_engines
from tests.fakes import fake_manifest

MANIFEST = fake_manifest()


def test_round_trip(tmp_path: Path) -> None:
    engines = write_engines(tmp_path, engine_key(MANIFEST))
    found = load_engine_set(tmp_path)
    assert (found.key, found.files, found.verification) == (
        engines.key,
        engines.files,
        engines.verification,
    )
    assert found.read("suffix") == b"suffix"


def test_the_set_that_fits_is_found_among_others(tmp_path: Path) -> None:
    write_engines(tmp_path / "a", engine_key(MANIFEST, gpu_name="Other GPU"))
    write_engines(tmp_path / "b", engine_key(MANIFEST))
    write_engines(tmp_path / "c", engine_key(MANIFEST, max_batch=2))
    assert find_engine_set(tmp_path, MANIFEST, MACHINE, 4).directory == tmp_path / "b"
    assert find_engine_set(tmp_path / "b", MANIFEST, MACHINE, 4).directory == tmp_path / "b"


def test_engines_for_a_generation_fit_every_gpu_of_it(tmp_path: Path) -> None:
    write_engines(tmp_path / "a", engine_key(MANIFEST, gpu_name=""))
    assert find_engine_set(tmp_path, MANIFEST, MACHINE, 4).directory == tmp_path / "a"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"flavor": "tensorrt_rtx"}, "flavor tensorrt_rtx, here tensorrt"),
        ({"library_version": "10.3.0"}, "library version 10.3.0, here 10.8.0"),
        ({"gpu_name": "Other GPU"}, "GPU Other GPU, here Test GPU"),
        ({"compute_capability": "8.6"}, "compute capability 8.6, here 8.9"),
        ({"max_batch": 3}, "built for at most 3 rows, asked for 4"),
        (
            {"onnx_sha256": {**engine_key(MANIFEST).onnx_sha256, "suffix": "1" * 64}},
            "built from another suffix",
        ),
    ],
)
def test_stale_engines_are_refused_with_the_reason(tmp_path: Path, change, reason: str) -> None:
    write_engines(tmp_path / "old", engine_key(MANIFEST, **change))
    with pytest.raises(BackendError, match=rf"\(old: .*{reason}\); build it there with") as caught:
        find_engine_set(tmp_path, MANIFEST, MACHINE, 4)
    assert "export/to_trt.py --model nowhere --flavor tensorrt" in str(caught.value)


def test_no_engines_at_all(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"no engine set for fake .*there is none at all"):
        find_engine_set(tmp_path / "engines", MANIFEST, MACHINE, 4)


def test_one_of_several_must_be_named(tmp_path: Path) -> None:
    write_engines(tmp_path / "a", engine_key(MANIFEST))
    write_engines(tmp_path / "b", engine_key(MANIFEST, precision="bf16"))
    with pytest.raises(BackendError, match=r"several engine sets fit \(a, b\); name the folder"):
        find_engine_set(tmp_path, MANIFEST, MACHINE, 4)
    found = find_engine_set(tmp_path / "b", MANIFEST, MACHINE, 4)
    assert found.key.precision == "bf16"


def test_the_newest_precision_rules_count(tmp_path: Path) -> None:
    for rules in (1, 3, 2):
        write_engines(tmp_path / str(rules), engine_key(MANIFEST, rules_version=rules))
    assert find_engine_set(tmp_path, MANIFEST, MACHINE, 4).directory == tmp_path / "3"
    write_engines(tmp_path / "four", engine_key(MANIFEST, rules_version=3, workspace_mib=64))
    with pytest.raises(BackendError, match=r"several engine sets fit \(3, four\)"):
        find_engine_set(tmp_path, MANIFEST, MACHINE, 4)


@pytest.mark.parametrize(
    "change",
    [
        {"flavor": "tensorrt_rtx"},
        {"library_version": "11.0"},
        {"gpu_name": "x"},
        {"compute_capability": "12.0"},
        {"onnx_sha256": {"prefix": "2" * 64}},
        {"precision": "fp32"},
        {"max_batch": 5},
        {"max_points": 5},
        {"workspace_mib": 1},
        {"rules_version": 2},
    ],
)
def test_folder_names_differ_with_everything_that_matters(change) -> None:
    assert engine_key(MANIFEST, **change).folder_name() != engine_key(MANIFEST).folder_name()


def test_folder_name_says_what_it_is() -> None:
    assert engine_key(MANIFEST).folder_name().startswith("tensorrt-sm89-fp16-")


def test_verification_holds_for_the_machine_where_it_was(tmp_path: Path) -> None:
    engines = write_engines(tmp_path, engine_key(MANIFEST))
    assert not engines.verified_on(MACHINE, ())
    engines.with_verification(MACHINE, {"passed": True}, ["prefix", "decoder"]).save()
    found = load_engine_set(tmp_path)
    assert found.verified_on(MACHINE, ["prefix", "decoder"])
    assert not found.verified_on(MACHINE, ["prefix", "memory_decoder"])
    assert not found.verified_on(replace(MACHINE, gpu_name="Other GPU"), ["prefix"])
    assert found.with_verification(None, {}).verification["status"] == engine_cache.UNVERIFIED


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("schema_version",), 9, "schema_version: expected 1, got 9"),
        (("key", "max_batch"), 0, "max_batch: expected a whole number >= 1, got 0"),
        (("files", "prefix", "sha256"), "x", "prefix: sha256: expected 64"),
        (("files", "more"), {}, "files: unknown field: more"),
    ],
)
def test_unusable_descriptions(tmp_path: Path, path, value, message: str) -> None:
    write_engines(tmp_path, engine_key(MANIFEST))
    file = tmp_path / "engines.json"
    content = json.loads(file.read_text())
    place = content
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    file.write_text(json.dumps(content))
    with pytest.raises(ManifestError, match=message):
        load_engine_set(tmp_path)


def test_unreadable_description(tmp_path: Path) -> None:
    (tmp_path / "engines.json").write_text("{")
    with pytest.raises(ManifestError, match=r"engines\.json: expected JSON"):
        load_engine_set(tmp_path)
