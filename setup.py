# SPDX-License-Identifier: Apache-2.0
"""Installs amodal_ros; everything but the data files is declared in setup.cfg.

Data files are listed here because setuptools 59 (ROS 2 Humble) knows no globs in setup.cfg.
"""

from glob import glob

from setuptools import setup

SHARE = "share/amodal_ros"

setup(
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/amodal_ros"]),
        (SHARE, ["package.xml"]),
        (f"{SHARE}/launch", sorted(glob("launch/*.launch.py"))),
        (f"{SHARE}/config", sorted(glob("config/*.yaml"))),
    ],
)
