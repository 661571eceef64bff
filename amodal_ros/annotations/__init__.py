# SPDX-License-Identifier: Apache-2.0
"""Masks as files that labelling and training tools read."""
