# SPDX-License-Identifier: Apache-2.0
"""What the node publishes of an answered frame."""
