# SPDX-License-Identifier: Apache-2.0
"""From an image and prompts to masks (paper Eq. 3), on any backend."""
