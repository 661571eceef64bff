# SPDX-License-Identifier: Apache-2.0
"""Many objects in one frame: ours, the naive way and others, measured side by side."""
