# SPDX-License-Identifier: Apache-2.0
"""An hour with the node: does its memory grow, does it get slower?"""
