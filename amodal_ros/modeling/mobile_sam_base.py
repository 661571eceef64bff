# SPDX-License-Identifier: Apache-2.0
"""The unadapted MobileSAM at any input size, built from the official package's own modules."""

from __future__ import annotations

from mobile_sam.modeling import MaskDecoder, PromptEncoder, Sam, TinyViT, TwoWayTransformer

from amodal_ros.errors import InvalidInputError

EMBEDDING_STRIDE = 16
EMBEDDING_DIM = 256
PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
# TinyViT's classifier: in official checkpoints, never run by MobileSAM.
UNUSED_PREFIXES = ("image_encoder.norm_head.", "image_encoder.head.")


def build_mobile_sam(image_size: int = 1024) -> Sam:
    """Build MobileSAM as the official ``build_sam_vit_t`` does, at any input size.

    The layout of the weights does not depend on the size. The weights are random until loaded.

    Args:
        image_size: Side of the square input in pixels, a multiple of 16.

    Raises:
        InvalidInputError: ``image_size`` is not a positive multiple of 16.
    """
    if image_size < EMBEDDING_STRIDE or image_size % EMBEDDING_STRIDE:
        raise InvalidInputError(
            f"image_size must be a positive multiple of {EMBEDDING_STRIDE}, got {image_size}"
        )
    side = image_size // EMBEDDING_STRIDE
    sam = Sam(
        image_encoder=_build_tiny_vit(image_size),
        prompt_encoder=PromptEncoder(
            embed_dim=EMBEDDING_DIM,
            image_embedding_size=(side, side),
            input_image_size=(image_size, image_size),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(
                depth=2, embedding_dim=EMBEDDING_DIM, mlp_dim=2048, num_heads=8
            ),
            transformer_dim=EMBEDDING_DIM,
            iou_head_depth=3,
            iou_head_hidden_dim=256,
        ),
        pixel_mean=list(PIXEL_MEAN),
        pixel_std=list(PIXEL_STD),
    )
    return sam.eval()


def _build_tiny_vit(image_size: int) -> TinyViT:
    return TinyViT(
        img_size=image_size,
        in_chans=3,
        num_classes=1000,
        embed_dims=[64, 128, 160, 320],
        depths=[2, 2, 6, 2],
        num_heads=[2, 4, 5, 10],
        window_sizes=[7, 7, 14, 7],
        mlp_ratio=4.0,
        drop_rate=0.0,
        drop_path_rate=0.0,
        use_checkpoint=False,
        mbconv_expand_ratio=4.0,
        local_conv_size=3,
        layer_lr_decay=0.8,
    )
