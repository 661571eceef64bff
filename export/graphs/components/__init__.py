# SPDX-License-Identifier: Apache-2.0
"""One file per exported graph: a wrapper module, its export, its parity check."""
