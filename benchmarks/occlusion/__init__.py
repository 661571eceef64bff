# SPDX-License-Identifier: Apache-2.0
"""Who hides whom on rendered scenes, against the renderer's truth."""
