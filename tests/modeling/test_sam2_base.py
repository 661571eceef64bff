# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys

import pytest

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.config import SAM2_MEMBERS
from amodal_ros.modeling.cost import empty_weights
from amodal_ros.modeling.sam2_base import build_sam2
from tests.modeling.family_support import official_sam2

HYDRA_STAYS_AS_IT_WAS = """
from hydra.core.global_hydra import GlobalHydra
from amodal_ros.modeling.sam2_base import import_sam2
import_sam2()
assert not GlobalHydra.instance().is_initialized()
from hydra import compose, initialize_config_module
with initialize_config_module("sam2", version_base="1.2"):
    from sam2.build_sam import build_sam2
    assert compose("configs/sam2/sam2_hiera_t.yaml").model.num_maskmem == 7
    import_sam2()
    assert GlobalHydra.instance().is_initialized()
"""


def test_hydra_stays_as_it_was():
    command = [sys.executable, "-W", "ignore", "-c", HYDRA_STAYS_AS_IT_WAS]
    subprocess.run(command, check=True, timeout=120)


@pytest.mark.parametrize(
    ("member", "postprocessing"),
    [*((member, False) for member in SAM2_MEMBERS), ("sam2.1_hiera_t", True)],
)
def test_settings_are_those_of_sam2(member, postprocessing):
    """Every plain setting of every module, as ``sam2``'s own builder makes it."""
    with empty_weights():
        ours = build_sam2(member, 1024, postprocessing=postprocessing)
        official = official_sam2(
            member, 1024, video=True, postprocessing=postprocessing, device="meta"
        )
    theirs = dict(official.named_modules())
    modules = dict(ours.named_modules())
    assert modules.keys() == theirs.keys()
    predictor_only = {
        "fill_hole_area", "non_overlap_masks", "clear_non_cond_mem_around_input",
        "add_all_frames_to_correct_as_cond",
    }  # fmt: skip
    for name, module in modules.items():
        plain = {
            key: value
            for key, value in vars(theirs[name]).items()
            if isinstance(value, (bool, int, float, str, tuple, list))
            and key not in predictor_only
        }
        assert {key: vars(module)[key] for key in plain} == plain, name


def test_refuses_an_unknown_member():
    with pytest.raises(InvalidInputError, match=r"no configuration .*sam2_hiera_x\.yaml"):
        build_sam2("sam2_hiera_x")
