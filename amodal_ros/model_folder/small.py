# SPDX-License-Identifier: Apache-2.0
"""`small.json` beside the manifest: the same model's graphs for a smaller region of an object.

It has the form of the manifest itself. Its graphs hold no weights that the graphs of the full size
have: they point into those files. Only mode `roi` has regions that can be smaller.
"""

from __future__ import annotations

from amodal_ros.errors import ManifestError
from amodal_ros.model_folder.manifest import ModelManifest, load_manifest

SMALL_NAME = "small.json"
# What both sizes of one model have in common.
_EQUAL = (
    *("family", "mode", "mean", "std", "mask_threshold", "shared_outline"),
    *("prior_expand", "roi_factor"),
)


def load_small(manifest: ModelManifest) -> ModelManifest | None:
    """Reads `small.json` and checks every file it names; None: the folder has one size alone.

    Raises:
        ManifestError: naming the file or field, what was expected and what came.
    """
    if not (manifest.directory / SMALL_NAME).is_file():
        return None
    small = load_manifest(manifest.directory, SMALL_NAME)
    check_small(small, manifest)
    return small


def check_small(small: ModelManifest, manifest: ModelManifest) -> None:
    """Makes sure that two manifests are those of one model at two sizes.

    Raises:
        ManifestError: naming the field, what was expected and what came.
    """
    place = small.directory / SMALL_NAME
    if manifest.mode != "roi":
        raise ManifestError(f"{place}: expected a model of mode 'roi', got {manifest.mode!r}")
    for name in _EQUAL:
        expected, found = getattr(manifest, name), getattr(small, name)
        if found != expected:
            raise ManifestError(f"{place}: {name}: expected {expected!r}, got {found!r}")
    if small.image_size >= manifest.image_size:
        raise ManifestError(
            f"{place}: image_size: expected less than {manifest.image_size},"
            f" got {small.image_size}"
        )
    for graph, spec in manifest.graphs.items():
        names = [tensor.name for tensor in (*spec.inputs, *spec.outputs)]
        found_spec = small.graphs[graph]
        found_names = [tensor.name for tensor in (*found_spec.inputs, *found_spec.outputs)]
        if found_names != names:
            raise ManifestError(f"{place}: {graph}: expected tensors {names}, got {found_names}")
