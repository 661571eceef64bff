# SPDX-License-Identifier: Apache-2.0
"""Who hides whom in one image: pairs, a consistent order, cycles, shares of what is hidden."""
