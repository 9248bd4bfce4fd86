"""Every objective, once, as a pure function of tensors: no state, no ranks, no devices.

Embeddings are L2-normalised inside, the temperature divides the logits, half precision is computed in
float32 (under autocast too) and float64 stays float64. Softmax-type losses never hold a large similarity
matrix: it is made in tiles, exactly, and memory grows linearly with the batch. The tiled losses have first
derivatives only; asking for a second one raises an error.

A loss returns one scalar, or a dictionary of named terms whose sum is the loss. With several processes gather
the embeddings first, then every process computes the loss of the whole batch.

=============================  ==================================================================
one positive per row           :func:`info_nce`, :func:`symmetric_info_nce`, :func:`nt_xent`, :func:`grace`
invariance of the prediction   :func:`relic`, :func:`relic_multicrop`, measured by :func:`relic_kl`
labels                         :func:`supcon`
pairs, no softmax              :func:`sigmoid_pair_loss`
positives only                 :func:`byol_regression`, :func:`negative_cosine`
statistics of dimensions       :func:`barlow_twins`, :func:`vicreg`
assignments to clusters        :func:`swapped_prediction` of codes from :func:`sinkhorn`
dense maps                     :func:`feature_distance`
=============================  ==================================================================
"""

from nearfar.losses.clusters import sinkhorn, swapped_prediction
from nearfar.losses.dense import feature_distance
from nearfar.losses.infonce import grace, info_nce, nt_xent, symmetric_info_nce
from nearfar.losses.pairwise import sigmoid_pair_loss
from nearfar.losses.redundancy import barlow_twins, vicreg
from nearfar.losses.regression import byol_regression, negative_cosine
from nearfar.losses.relic import relic, relic_kl, relic_multicrop
from nearfar.losses.supervised import supcon

__all__ = [
    "barlow_twins",
    "byol_regression",
    "feature_distance",
    "grace",
    "info_nce",
    "negative_cosine",
    "nt_xent",
    "relic",
    "relic_kl",
    "relic_multicrop",
    "sigmoid_pair_loss",
    "sinkhorn",
    "supcon",
    "swapped_prediction",
    "symmetric_info_nce",
    "vicreg",
]
