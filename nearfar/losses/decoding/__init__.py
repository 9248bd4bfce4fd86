"""Scores of the next word from several looks at it; no gradients are needed, and all are differentiable.

=============================  ==================================================================
who may be chosen              :func:`plausible`
two branches                   :func:`contrast_logits`, :func:`contrastive_decoding`, :func:`contrastive_beam_step`
how far two looks differ       :func:`js_divergence`, :func:`midpoint_divergence`, :func:`adacad_weight`
layers of one model            :func:`dola`
answers to choose from         :func:`choice_logp`, :func:`posthoc_debias`
heads and features             :func:`head_importance`, :func:`inducing_heads`, :func:`knowledge_features`,
                               :func:`functional_activations`, :func:`steer`
images                         :func:`diffusion_noise`
=============================  ==================================================================
"""

from nearfar.losses.decoding.branches import (
    adacad_weight,
    contrast_logits,
    contrastive_beam_step,
    contrastive_decoding,
    js_divergence,
    midpoint_divergence,
    plausible,
)
from nearfar.losses.decoding.choices import choice_logp, posthoc_debias
from nearfar.losses.decoding.heads import head_importance, inducing_heads
from nearfar.losses.decoding.layers import dola
from nearfar.losses.decoding.noise import diffusion_noise
from nearfar.losses.decoding.steering import Latents, functional_activations, knowledge_features, steer

__all__ = [
    "Latents",
    "adacad_weight",
    "choice_logp",
    "contrast_logits",
    "contrastive_beam_step",
    "contrastive_decoding",
    "diffusion_noise",
    "dola",
    "functional_activations",
    "head_importance",
    "inducing_heads",
    "js_divergence",
    "knowledge_features",
    "midpoint_divergence",
    "plausible",
    "posthoc_debias",
    "steer",
]
