# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import warnings

from training.options import silence_packages


def _warn(module: str) -> None:
    warnings.warn_explicit(f"from {module}", FutureWarning, "file.py", 1, module=module)


def test_only_the_packages_of_the_base_models_are_silenced():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        silence_packages()
        for module in ("timm.models.layers", "mobile_sam.modeling.tiny_vit_sam", "timm"):
            _warn(module)
        for module in ("training.train", "timmy"):
            _warn(module)
    assert [str(warning.message) for warning in told] == ["from training.train", "from timmy"]
