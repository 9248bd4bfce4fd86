"""Graphs: whole ones among others, nodes among neighbours and clusters, what walks meet.

=============================  ==================================================================
whole graphs                   :func:`graph_contrast`
nodes and their neighbours     :func:`neighbour_contrast`, :func:`neighbour_prediction`
views and their original       :func:`information_hinge`
weighted pairs                 :func:`weighted_contrast`, with :func:`together_weights`
centres of clusters            :func:`cluster_contrast`, with :func:`concentration`
what walks meet                :func:`walk_alignment`, held near a Gaussian by :func:`gaussian_bottleneck`
soft clusters                  :func:`cluster_divergence` of :func:`student_assignments` from :func:`sharpened` ones
=============================  ==================================================================
"""

from nearfar.losses.graphs.clusters import cluster_divergence, sharpened, student_assignments
from nearfar.losses.graphs.information import information_hinge
from nearfar.losses.graphs.neighbours import neighbour_contrast, neighbour_prediction
from nearfar.losses.graphs.walks import gaussian_bottleneck, walk_alignment
from nearfar.losses.graphs.weighted import cluster_contrast, concentration, together_weights, weighted_contrast
from nearfar.losses.graphs.whole import graph_contrast

__all__ = [
    "cluster_contrast",
    "cluster_divergence",
    "concentration",
    "gaussian_bottleneck",
    "graph_contrast",
    "information_hinge",
    "neighbour_contrast",
    "neighbour_prediction",
    "sharpened",
    "student_assignments",
    "together_weights",
    "walk_alignment",
    "weighted_contrast",
]
