# SPDX-License-Identifier: Apache-2.0
"""The tracker on clips with known truth, against doing without it."""
