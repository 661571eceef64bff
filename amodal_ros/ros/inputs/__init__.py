# SPDX-License-Identifier: Apache-2.0
"""What a camera sends: subscriptions, and bringing messages together by stamp."""
