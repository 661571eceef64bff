# SPDX-License-Identifier: Apache-2.0
"""Boxes of whole objects in rendered RGB-D scenes, against their true poses."""
