"""Series: steps of time, windows, whole recordings.

=============================  ==================================================================
two views, every scale         :func:`hierarchical_contrast`, of :func:`temporal_contrast` and
                               :func:`instance_contrast`
recordings with identities     :func:`id_contrast`
the window that follows        :func:`cpc_windows`
windows that are near          :func:`tnc`
hidden frames                  :func:`masked_frame_contrast`
windows that correlate         :func:`autocorrelation_contrast`, with :func:`autocorrelation`
=============================  ==================================================================
"""

from nearfar.losses.sequences.correlation import autocorrelation, autocorrelation_contrast
from nearfar.losses.sequences.frames import masked_frame_contrast
from nearfar.losses.sequences.hierarchy import hierarchical_contrast, instance_contrast, temporal_contrast
from nearfar.losses.sequences.identities import id_contrast
from nearfar.losses.sequences.windows import cpc_windows, tnc

__all__ = [
    "autocorrelation",
    "autocorrelation_contrast",
    "cpc_windows",
    "hierarchical_contrast",
    "id_contrast",
    "instance_contrast",
    "masked_frame_contrast",
    "temporal_contrast",
    "tnc",
]
