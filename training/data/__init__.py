# SPDX-License-Identifier: Apache-2.0
"""Training data: objects with known amodal masks, framed and prompted as at inference."""
