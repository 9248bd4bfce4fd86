"""Positives without negatives: regression, statistics of dimensions, entropy.

=============================  ==================================================================
positives only                 :func:`byol_regression`, :func:`negative_cosine`
statistics of dimensions       :func:`barlow_twins`, :func:`vicreg`, :func:`mixed_barlow_twins`
entropy of embeddings          :func:`vmf_entropy`, :func:`vmf_reconstruction`, :func:`discrete_entropy`,
                               :func:`discrete_reconstruction`
one turn for all images        :func:`rotational_equivariance`
=============================  ==================================================================
"""

from nearfar.losses.alignment.entropy import discrete_entropy, discrete_reconstruction, vmf_entropy, vmf_reconstruction
from nearfar.losses.alignment.equivariance import rotational_equivariance
from nearfar.losses.alignment.mixup import mixed_barlow_twins
from nearfar.losses.alignment.redundancy import barlow_twins, vicreg
from nearfar.losses.alignment.regression import byol_regression, negative_cosine

__all__ = [
    "barlow_twins",
    "byol_regression",
    "discrete_entropy",
    "discrete_reconstruction",
    "mixed_barlow_twins",
    "negative_cosine",
    "rotational_equivariance",
    "vicreg",
    "vmf_entropy",
    "vmf_reconstruction",
]
