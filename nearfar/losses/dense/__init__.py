"""Maps: cells, pixels, patches, regions.

=============================  ==================================================================
dense maps                     :func:`feature_distance`
pixels and class prototypes    :func:`prototype_contrast`
aligned patches                :func:`aligned_patch_contrast`, and :func:`normalized_entropy` of predictions
cells of dense maps            :func:`pixel_consistency`, :func:`pixel_contrast`, :func:`dense_nt_xent`, matched by
                               :func:`dense_correspondence`
regions of hidden patches      :func:`masked_regions`
places of one picture          :func:`patch_nce`
tokens that phrases name       :func:`token_supcon` among them, :func:`token_phrase_agreement` with the phrases,
                               :func:`focal_loss` of their scores
=============================  ==================================================================
"""

from nearfar.losses.dense.dense_contrast import dense_correspondence, dense_nt_xent, pixel_consistency, pixel_contrast
from nearfar.losses.dense.distance import feature_distance
from nearfar.losses.dense.patch_contrast import aligned_patch_contrast, normalized_entropy
from nearfar.losses.dense.patch_nce import patch_nce
from nearfar.losses.dense.prototype_contrast import prototype_contrast
from nearfar.losses.dense.regions import masked_regions
from nearfar.losses.dense.tokens import focal_loss, token_phrase_agreement, token_supcon

__all__ = [
    "aligned_patch_contrast",
    "dense_correspondence",
    "dense_nt_xent",
    "feature_distance",
    "focal_loss",
    "masked_regions",
    "normalized_entropy",
    "patch_nce",
    "pixel_consistency",
    "pixel_contrast",
    "prototype_contrast",
    "token_phrase_agreement",
    "token_supcon",
]
