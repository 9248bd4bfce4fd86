"""Labels that are rare, hierarchical, weak, incomplete, of another domain or of the past.

=============================  ==================================================================
rare classes                   :func:`gml` over :func:`class_scores`, :func:`prior_cross_entropy`; :func:`sbcl`
levels of a hierarchy          :func:`hmlc`, :func:`masked_hmlc`
labels times a kernel          :func:`wsp` with :func:`position_weights`
some rows labelled             :func:`gcd`, :func:`semicon`
clusters as classes            :func:`adaptive_pseudo_labels`, :func:`marginal_entropy_gap`,
                               :func:`prototype_separation`
mixed pictures                 :func:`mixed_cross_entropy`, :func:`vicinal_contrast`
a past network                 :func:`sycon`, :func:`sycon_batch`
=============================  ==================================================================
"""

from nearfar.losses.labels.discovery import (
    adaptive_pseudo_labels,
    gcd,
    marginal_entropy_gap,
    prototype_separation,
    semicon,
)
from nearfar.losses.labels.hierarchy import hmlc, masked_hmlc
from nearfar.losses.labels.past import sycon, sycon_batch
from nearfar.losses.labels.positions import position_weights, wsp
from nearfar.losses.labels.rare import class_scores, gml, prior_cross_entropy, sbcl
from nearfar.losses.labels.vicinal import mixed_cross_entropy, vicinal_contrast

__all__ = [
    "adaptive_pseudo_labels",
    "class_scores",
    "gcd",
    "gml",
    "hmlc",
    "marginal_entropy_gap",
    "masked_hmlc",
    "mixed_cross_entropy",
    "position_weights",
    "prior_cross_entropy",
    "prototype_separation",
    "sbcl",
    "semicon",
    "sycon",
    "sycon_batch",
    "vicinal_contrast",
    "wsp",
]
