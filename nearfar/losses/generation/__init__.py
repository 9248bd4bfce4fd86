"""Codes, directions and patches of generating models.

=============================  ==================================================================
codes against a prior          :func:`maximum_mean_discrepancy`
directions of change           :func:`direction_contrast`
restored pictures              :func:`informative_contrast`, and :func:`dual_contrast` for the critic
=============================  ==================================================================
"""

from nearfar.losses.generation.directions import direction_contrast
from nearfar.losses.generation.moments import maximum_mean_discrepancy
from nearfar.losses.generation.restoration import dual_contrast, informative_contrast

__all__ = ["direction_contrast", "dual_contrast", "informative_contrast", "maximum_mean_discrepancy"]
