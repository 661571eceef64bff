# SPDX-License-Identifier: Apache-2.0
"""Model folders as the export writes them: files, manifest, reference, parity gate."""
