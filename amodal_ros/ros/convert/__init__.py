# SPDX-License-Identifier: Apache-2.0
"""Messages to values of the core and back."""
