"""Graphs: whole ones among others, nodes among neighbours and clusters.

=============================  ==================================================================
whole graphs                   :func:`graph_contrast`
nodes and their neighbours     :func:`neighbour_contrast`
views and their original       :func:`information_hinge`
soft clusters                  :func:`cluster_divergence` of :func:`student_assignments` from :func:`sharpened` ones
=============================  ==================================================================
"""

from nearfar.losses.graphs.clusters import cluster_divergence, sharpened, student_assignments
from nearfar.losses.graphs.information import information_hinge
from nearfar.losses.graphs.neighbours import neighbour_contrast
from nearfar.losses.graphs.whole import graph_contrast

__all__ = [
    "cluster_divergence",
    "graph_contrast",
    "information_hinge",
    "neighbour_contrast",
    "sharpened",
    "student_assignments",
]
