# SPDX-License-Identifier: Apache-2.0
"""Rendered tabletop scenes with true amodal masks: stills and clips in ``amodal_coco``."""
