# SPDX-License-Identifier: Apache-2.0
"""Makes the environment of scripts/demo and scripts/test; standard library only."""
