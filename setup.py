# SPDX-License-Identifier: Apache-2.0
"""Installs amodal_ros; setup.cfg declares everything that it can.

Data files are listed here because setuptools 59 (ROS 2 Humble) knows no globs in setup.cfg, the
Python version because colcon cannot read it back from there (it becomes a SpecifierSet, which is
no literal).
"""

from glob import glob

from setuptools import setup

SHARE = "share/amodal_ros"

setup(
    python_requires=">=3.10",
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/amodal_ros"]),
        (SHARE, ["package.xml"]),
        (f"{SHARE}/launch", sorted(glob("launch/*.launch.py"))),
        (f"{SHARE}/config", sorted(glob("config/*"))),
    ],
)
