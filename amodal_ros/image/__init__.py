# SPDX-License-Identifier: Apache-2.0
"""Arrays of pixels: boxes, masks, resizing, run lengths, and frames of reference."""
