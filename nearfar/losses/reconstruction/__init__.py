"""What is hidden, predicted.

=============================  ==================================================================
pixels of hidden patches       :func:`masked_reconstruction`
latents of hidden patches      :func:`latent_prediction`
hidden words, codes            :func:`masked_tokens`
=============================  ==================================================================
"""

from nearfar.losses.reconstruction.latent import latent_prediction
from nearfar.losses.reconstruction.patches import masked_reconstruction
from nearfar.losses.reconstruction.tokens import masked_tokens

__all__ = [
    "latent_prediction",
    "masked_reconstruction",
    "masked_tokens",
]
