"""Positives against negatives.

=============================  ==================================================================
one positive per row           :func:`info_nce`, :func:`symmetric_info_nce`, :func:`nt_xent`, :func:`grace`
invariance of the prediction   :func:`relic`, :func:`relic_multicrop`, measured by :func:`relic_kl`
many views of each thing       :func:`poly_view`, :func:`cacr`, and on MoCo :func:`cacr_queue`, :func:`cacr_keys`
whole tuples of modalities     :func:`symile`
several candidates of a row    :func:`mil_nce`
a memory of other examples     :func:`memory_contrast`, with :func:`memory_normalizer`
views of growing strength      :func:`growing_consistency`
a part of a memory for each    :func:`selective_contrast`
a temperature for each pair    :func:`amcl`; given ones: :func:`tempered_contrast`,
                               :func:`tempered_regression`, :func:`tempered_correlation`
two modalities, each inside    :func:`clsr`
sentences of one row alone     :func:`composition_contrast`
the positive by a margin       :func:`margin_nt_xent`
labels                         :func:`supcon`
a weight for every pair        :func:`weighted_supcon`
pairs, no softmax              :func:`sigmoid_pair_loss`
=============================  ==================================================================
"""

from nearfar.losses.contrast.adaptive import amcl, tempered_contrast, tempered_correlation, tempered_regression
from nearfar.losses.contrast.attraction import cacr, cacr_keys, cacr_queue
from nearfar.losses.contrast.composed import composition_contrast
from nearfar.losses.contrast.crossmodal import clsr
from nearfar.losses.contrast.growing import growing_consistency
from nearfar.losses.contrast.infonce import grace, info_nce, nt_xent, symmetric_info_nce
from nearfar.losses.contrast.labels import supcon
from nearfar.losses.contrast.margin import margin_nt_xent
from nearfar.losses.contrast.memory import memory_contrast, memory_normalizer
from nearfar.losses.contrast.multiple import mil_nce
from nearfar.losses.contrast.pairwise import sigmoid_pair_loss
from nearfar.losses.contrast.polyview import poly_view
from nearfar.losses.contrast.relic import relic, relic_kl, relic_multicrop
from nearfar.losses.contrast.selective import selective_contrast
from nearfar.losses.contrast.tuples import symile
from nearfar.losses.contrast.weighted import weighted_supcon

__all__ = [
    "amcl",
    "cacr",
    "cacr_keys",
    "cacr_queue",
    "clsr",
    "composition_contrast",
    "grace",
    "growing_consistency",
    "info_nce",
    "margin_nt_xent",
    "memory_contrast",
    "memory_normalizer",
    "mil_nce",
    "nt_xent",
    "poly_view",
    "relic",
    "relic_kl",
    "relic_multicrop",
    "selective_contrast",
    "sigmoid_pair_loss",
    "supcon",
    "symile",
    "symmetric_info_nce",
    "tempered_contrast",
    "tempered_correlation",
    "tempered_regression",
    "weighted_supcon",
]
