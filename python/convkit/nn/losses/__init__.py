"""Losses: how far features, faces or pictures are from what they should be.

Made of Tensors' arithmetic and of ops, so that each has gradients; cross_entropy is an op itself.
Results are Tensors of the features' dtype.
"""

from .elementwise import binary_cross_entropy_with_logits, mse_loss
from .faces import (
    batch_hard_loss,
    batch_hard_triplets,
    contrastive_loss,
    semi_hard_triplets,
    triplet_loss,
    verification_logits,
)
from .pictures import content_loss, style_loss, total_variation

__all__ = [
    "batch_hard_loss",
    "batch_hard_triplets",
    "binary_cross_entropy_with_logits",
    "content_loss",
    "contrastive_loss",
    "mse_loss",
    "semi_hard_triplets",
    "style_loss",
    "total_variation",
    "triplet_loss",
    "verification_logits",
]
