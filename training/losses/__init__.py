# SPDX-License-Identifier: Apache-2.0
"""The three terms of the training objective (paper, 3.4, Eq. 7), each a value per object."""
