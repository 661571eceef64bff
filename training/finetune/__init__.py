# SPDX-License-Identifier: Apache-2.0
"""``python -m training.finetune``: a better model folder for a robot's own objects."""
