# SPDX-License-Identifier: Apache-2.0
"""What can go wrong while the page is built or served."""


class WebError(Exception):
    """The page cannot be built or served; the message is one line that says what to do."""
