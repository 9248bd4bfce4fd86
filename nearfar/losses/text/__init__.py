"""Pairs and triplets of sentences, with or without judgements of how alike they are.

=============================  ==================================================================
a gold similarity per pair     :func:`cosine_regression`, and only their order, :func:`cosent`
alike or not, per pair         :func:`pair_margin`, and the hard ones only, :func:`online_pair_margin`
one of two is nearer           :func:`triplet_margin`
nearer than all of a batch     :func:`energy_hinge`
a list's right passages        :func:`circle_loss`
candidates in an order         :func:`ranked_margin`, and the likelihood of a whole order, :func:`list_mle`
pairs, by who is like whom     :func:`likeness_ranking`
attention of two views         :func:`attention_mutual_information`
turns of dialogs               :func:`past_future`; hypotheses and a correction, :func:`nbest_agreement`
texts and texts of labels      :func:`binary_nce`, each by itself, and :func:`ranking_nce`, among others
=============================  ==================================================================

Ranking among the sentences of a batch is :func:`nearfar.losses.info_nce`.
"""

from nearfar.losses.text.attention import attention_mutual_information
from nearfar.losses.text.dialogs import nbest_agreement, past_future
from nearfar.losses.text.energy import energy_hinge
from nearfar.losses.text.likeness import likeness_ranking
from nearfar.losses.text.lists import circle_loss
from nearfar.losses.text.margins import online_pair_margin, pair_margin, triplet_margin
from nearfar.losses.text.named import binary_nce, ranking_nce
from nearfar.losses.text.ordered import list_mle
from nearfar.losses.text.ranked import ranked_margin
from nearfar.losses.text.scored import cosent, cosine_regression

__all__ = [
    "attention_mutual_information",
    "binary_nce",
    "circle_loss",
    "cosent",
    "cosine_regression",
    "energy_hinge",
    "likeness_ranking",
    "list_mle",
    "nbest_agreement",
    "online_pair_margin",
    "pair_margin",
    "past_future",
    "ranked_margin",
    "ranking_nce",
    "triplet_margin",
]
