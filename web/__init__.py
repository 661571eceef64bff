# SPDX-License-Identifier: Apache-2.0
"""The page that runs the shipped model in a browser: how it is built and served.

Only Python's standard library is used, so that ``scripts/web`` needs no environment.
"""
