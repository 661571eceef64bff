# SPDX-License-Identifier: Apache-2.0
"""How masks are compared with true ones: pixel counts, and the metric of the published tables."""
