# SPDX-License-Identifier: Apache-2.0
"""A model folder on disk: its manifests, read strictly and checked against their files."""
