# SPDX-License-Identifier: Apache-2.0
"""From torch to ONNX files on a robot: export, parity gate, engines."""
