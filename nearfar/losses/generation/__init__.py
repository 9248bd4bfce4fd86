"""Codes, directions and patches of generating models.

=============================  ==================================================================
codes against a prior          :func:`maximum_mean_discrepancy`
directions of change           :func:`direction_contrast`
style, and what keeps content  :func:`style_statistics`, :func:`coherence_contrast`
guidance by a text             :func:`spherical_distance`, :func:`direction_distance`, and :func:`range_excess`
steps of a pen                 :func:`ink_likelihood`
restored pictures              :func:`informative_contrast`, and :func:`dual_contrast` for the critic
=============================  ==================================================================
"""

from nearfar.losses.generation.directions import direction_contrast
from nearfar.losses.generation.guidance import direction_distance, range_excess, spherical_distance
from nearfar.losses.generation.ink import ink_likelihood
from nearfar.losses.generation.moments import maximum_mean_discrepancy
from nearfar.losses.generation.restoration import dual_contrast, informative_contrast
from nearfar.losses.generation.style import coherence_contrast, style_statistics

__all__ = [
    "coherence_contrast",
    "direction_contrast",
    "direction_distance",
    "dual_contrast",
    "informative_contrast",
    "ink_likelihood",
    "maximum_mean_discrepancy",
    "range_excess",
    "spherical_distance",
    "style_statistics",
]
