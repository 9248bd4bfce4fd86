"""Codes, directions and patches of generating models.

=============================  ==================================================================
codes against a prior          :func:`maximum_mean_discrepancy`
directions of change           :func:`direction_contrast`
style, and what keeps content  :func:`style_statistics`, :func:`coherence_contrast`
restored pictures              :func:`informative_contrast`, and :func:`dual_contrast` for the critic
=============================  ==================================================================
"""

from nearfar.losses.generation.directions import direction_contrast
from nearfar.losses.generation.moments import maximum_mean_discrepancy
from nearfar.losses.generation.restoration import dual_contrast, informative_contrast
from nearfar.losses.generation.style import coherence_contrast, style_statistics

__all__ = [
    "coherence_contrast",
    "direction_contrast",
    "dual_contrast",
    "informative_contrast",
    "maximum_mean_discrepancy",
    "style_statistics",
]
