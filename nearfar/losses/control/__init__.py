"""Goals, skills and futures: contrast in agents and world models.

==========================================  ==============================================================
futures against random states, pairs        :func:`pairwise_nce`, :func:`c_learning`
futures against random states, softmax      :func:`penalized_info_nce`, :func:`td_info_nce`
what the actor climbs                       :func:`reaching`, :func:`picking`, :func:`example_value`
==========================================  ==============================================================
"""

from nearfar.losses.control.difference import picking, td_info_nce
from nearfar.losses.control.futures import c_learning, pairwise_nce, penalized_info_nce
from nearfar.losses.control.reaching import cloning, example_value, reaching

__all__ = [
    "c_learning",
    "cloning",
    "example_value",
    "pairwise_nce",
    "penalized_info_nce",
    "picking",
    "reaching",
    "td_info_nce",
]
