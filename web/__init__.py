# SPDX-License-Identifier: Apache-2.0
"""The page that runs the shipped model in a browser: how it is built and served.

Only Python's standard library is used, so that ``scripts/web`` needs no environment.
"""


class WebError(Exception):
    """The page cannot be built or served; the message is one line that says what to do."""
