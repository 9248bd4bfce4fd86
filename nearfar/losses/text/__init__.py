"""Pairs and triplets of sentences, with or without judgements of how alike they are.

=============================  ==================================================================
a gold similarity per pair     :func:`cosine_regression`, and only their order, :func:`cosent`
alike or not, per pair         :func:`pair_margin`, and the hard ones only, :func:`online_pair_margin`
one of two is nearer           :func:`triplet_margin`
=============================  ==================================================================

Ranking among the sentences of a batch is :func:`nearfar.losses.info_nce`.
"""

from nearfar.losses.text.margins import online_pair_margin, pair_margin, triplet_margin
from nearfar.losses.text.scored import cosent, cosine_regression

__all__ = ["cosent", "cosine_regression", "online_pair_margin", "pair_margin", "triplet_margin"]
