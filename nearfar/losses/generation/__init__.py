"""Codes, directions and patches of generating models.

=============================  ==================================================================
codes against a prior          :func:`maximum_mean_discrepancy`
=============================  ==================================================================
"""

from nearfar.losses.generation.moments import maximum_mean_discrepancy

__all__ = ["maximum_mean_discrepancy"]
