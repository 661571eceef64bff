# SPDX-License-Identifier: Apache-2.0
"""Drawing with MuJoCo: pictures, masks, depth and normals; light from environment maps."""
