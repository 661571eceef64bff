# SPDX-License-Identifier: Apache-2.0
"""Metrics of amodal segmentation. They differ between papers: each has a name here."""
