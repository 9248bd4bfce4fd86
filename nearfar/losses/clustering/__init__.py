"""Assignments to clusters and words.

=============================  ==================================================================
assignments to clusters        :func:`swapped_prediction` of codes from :func:`sinkhorn`
bags of visual words           :func:`bag_divergence`
=============================  ==================================================================
"""

from nearfar.losses.clustering.clusters import sinkhorn, swapped_prediction
from nearfar.losses.clustering.words import bag_divergence

__all__ = [
    "bag_divergence",
    "sinkhorn",
    "swapped_prediction",
]
