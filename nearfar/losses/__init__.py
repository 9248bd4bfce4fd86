"""Every objective, once, as a pure function of tensors: no state, no ranks, no devices.

Embeddings are L2-normalised inside, the temperature divides the logits, half precision is computed in
float32 (under autocast too) and float64 stays float64. Softmax-type losses never hold a large similarity
matrix: it is made in tiles, exactly, and memory grows linearly with the batch. The tiled losses have first
derivatives only; asking for a second one raises an error.

A loss returns one scalar, or a dictionary of named terms whose sum is the loss. With several processes gather
the embeddings first, then every process computes the loss of the whole batch; in a training step they share the
work of large ones.

=============================  ==================================================================
one positive per row           :func:`info_nce`, :func:`symmetric_info_nce`, :func:`nt_xent`, :func:`grace`
invariance of the prediction   :func:`relic`, :func:`relic_multicrop`, measured by :func:`relic_kl`
many views of each thing       :func:`poly_view`, :func:`cacr`
a temperature for each pair    :func:`amcl`
labels                         :func:`supcon`
pairs, no softmax              :func:`sigmoid_pair_loss`
positives only                 :func:`byol_regression`, :func:`negative_cosine`
statistics of dimensions       :func:`barlow_twins`, :func:`vicreg`, :func:`mixed_barlow_twins`
assignments to clusters        :func:`swapped_prediction` of codes from :func:`sinkhorn`
entropy of embeddings          :func:`vmf_entropy`, :func:`vmf_reconstruction`, :func:`discrete_entropy`,
                               :func:`discrete_reconstruction`
one turn for all images        :func:`rotational_equivariance`
dense maps                     :func:`feature_distance`
pixels and class prototypes    :func:`prototype_contrast`
aligned patches                :func:`aligned_patch_contrast`, and :func:`normalized_entropy` of predictions
cells of dense maps            :func:`pixel_consistency`, :func:`pixel_contrast`, :func:`dense_nt_xent`, matched by
                               :func:`dense_correspondence`
pixels of hidden patches       :func:`masked_reconstruction`, and of regions in them :func:`masked_regions`
latents of hidden patches      :func:`latent_prediction`
bags of visual words           :func:`bag_divergence`
=============================  ==================================================================
"""

from nearfar.losses.adaptive import amcl
from nearfar.losses.attraction import cacr
from nearfar.losses.clusters import sinkhorn, swapped_prediction
from nearfar.losses.dense import feature_distance
from nearfar.losses.dense_contrast import dense_correspondence, dense_nt_xent, pixel_consistency, pixel_contrast
from nearfar.losses.entropy import discrete_entropy, discrete_reconstruction, vmf_entropy, vmf_reconstruction
from nearfar.losses.equivariance import rotational_equivariance
from nearfar.losses.infonce import grace, info_nce, nt_xent, symmetric_info_nce
from nearfar.losses.latent import latent_prediction
from nearfar.losses.mixup import mixed_barlow_twins
from nearfar.losses.pairwise import sigmoid_pair_loss
from nearfar.losses.patch_contrast import aligned_patch_contrast, normalized_entropy
from nearfar.losses.polyview import poly_view
from nearfar.losses.prototype_contrast import prototype_contrast
from nearfar.losses.reconstruction import masked_reconstruction
from nearfar.losses.redundancy import barlow_twins, vicreg
from nearfar.losses.regions import masked_regions
from nearfar.losses.regression import byol_regression, negative_cosine
from nearfar.losses.relic import relic, relic_kl, relic_multicrop
from nearfar.losses.supervised import supcon
from nearfar.losses.words import bag_divergence

__all__ = [
    "aligned_patch_contrast",
    "amcl",
    "bag_divergence",
    "barlow_twins",
    "byol_regression",
    "cacr",
    "dense_correspondence",
    "dense_nt_xent",
    "discrete_entropy",
    "discrete_reconstruction",
    "feature_distance",
    "grace",
    "info_nce",
    "latent_prediction",
    "masked_reconstruction",
    "masked_regions",
    "mixed_barlow_twins",
    "negative_cosine",
    "normalized_entropy",
    "nt_xent",
    "pixel_consistency",
    "pixel_contrast",
    "poly_view",
    "prototype_contrast",
    "relic",
    "relic_kl",
    "relic_multicrop",
    "rotational_equivariance",
    "sigmoid_pair_loss",
    "sinkhorn",
    "supcon",
    "swapped_prediction",
    "symmetric_info_nce",
    "vicreg",
    "vmf_entropy",
    "vmf_reconstruction",
]
