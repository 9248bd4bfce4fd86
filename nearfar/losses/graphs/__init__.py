"""Graphs: whole ones among others, nodes among neighbours.

=============================  ==================================================================
whole graphs                   :func:`graph_contrast`
=============================  ==================================================================
"""

from nearfar.losses.graphs.whole import graph_contrast

__all__ = [
    "graph_contrast",
]
