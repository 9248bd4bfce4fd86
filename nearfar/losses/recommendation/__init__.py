"""Users and items.

=============================  ==================================================================
a clicked item above another   :func:`bpr`
every user against all users   :func:`full_contrast`
a batch without false ones     :func:`masked_contrast`
two kinds of features          :func:`modal_contrast`, :func:`modal_orthogonality`
=============================  ==================================================================
"""

from nearfar.losses.recommendation.full import full_contrast
from nearfar.losses.recommendation.masked import masked_contrast
from nearfar.losses.recommendation.modal import modal_contrast, modal_orthogonality
from nearfar.losses.recommendation.ranking import bpr

__all__ = [
    "bpr",
    "full_contrast",
    "masked_contrast",
    "modal_contrast",
    "modal_orthogonality",
]
