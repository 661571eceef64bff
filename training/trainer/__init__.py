# SPDX-License-Identifier: Apache-2.0
"""The training loop: configuration, steps, checkpoints, validation, records of a run."""
