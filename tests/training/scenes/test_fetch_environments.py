# SPDX-License-Identifier: Apache-2.0
"""Fetching environment maps: verified, decoded, and clear where it fails."""

from __future__ import annotations

import base64
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from export.fetch_base_weights import FetchError
from scripts import fetch_environments as script


def module_of(radiance: np.ndarray, folder: Path) -> bytes:
    openexr = pytest.importorskip("OpenEXR")
    path = folder / "map.exr"
    header = {"compression": openexr.ZIP_COMPRESSION, "type": openexr.scanlineimage}
    openexr.File(header, {"RGB": radiance.astype(np.float16)}).write(str(path))
    data = base64.b64encode(path.read_bytes())
    return b"export default 'data:application/exr;base64," + data + b"'\n"


def test_maps_are_decoded_and_capped(tmp_path: Path) -> None:
    radiance = np.arange(4 * 8 * 3, dtype=np.float32).reshape(4, 8, 3)
    text = module_of(radiance, tmp_path)
    assert np.allclose(script.decode(text, "a"), radiance)
    archive = tmp_path / "assets.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("hdri/room.exr.js", "hdri/room.exr.d.ts"):
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
    folder = tmp_path / "maps"
    folder.mkdir()
    script.unpack(archive, folder)
    assert [path.name for path in folder.iterdir()] == ["room.npz"]
    with np.load(folder / "room.npz") as arrays:
        assert np.allclose(arrays["radiance"], radiance)


def test_what_is_no_map_is_named() -> None:
    with pytest.raises(FetchError, match=r"room: expected a module with an OpenEXR picture"):
        script.decode(b"export default 1", "room")


def test_another_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pack(folder: Path, npm: str, package: str) -> Path:
        path = folder / "other.tgz"
        path.write_bytes(b"other")
        return path

    monkeypatch.setattr(script, "npm_pack", pack)
    with pytest.raises(FetchError, match="expected sha256 152bd218"):
        script.fetch_environments(tmp_path / "maps")
    assert not list((tmp_path / "maps").iterdir())
