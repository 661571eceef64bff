# SPDX-License-Identifier: Apache-2.0
"""Ablations: many short runs that differ in one thing, and one table of them."""
