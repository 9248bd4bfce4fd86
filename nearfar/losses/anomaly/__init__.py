"""Learning what is normal, to see what is not.

=============================  ==================================================================
rows by the size of their      :func:`scale_alignment`
parts
rows against changed rows      :func:`clan`
=============================  ==================================================================
"""

from nearfar.losses.anomaly.augmented_negatives import clan
from nearfar.losses.anomaly.scales import scale_alignment

__all__ = ["clan", "scale_alignment"]
