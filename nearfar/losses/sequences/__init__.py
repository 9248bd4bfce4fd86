"""Series: steps of time, windows, whole recordings.

=============================  ==================================================================
two views, every scale         :func:`hierarchical_contrast`, of :func:`temporal_contrast` and
                               :func:`instance_contrast`
=============================  ==================================================================
"""

from nearfar.losses.sequences.hierarchy import hierarchical_contrast, instance_contrast, temporal_contrast

__all__ = ["hierarchical_contrast", "instance_contrast", "temporal_contrast"]
