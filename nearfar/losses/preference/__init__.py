"""Policies from comparisons, as functions of the log-probabilities of whole sequences.

===========================  =======================================================================================
log-probabilities            :func:`sequence_logps`, :func:`token_logps` from states without all logits at once
reward that a policy stands  :func:`implicit_reward`
for
one reply against another    :func:`dpo_loss`, :func:`ipo_loss`, :func:`nca_pair_loss`, :func:`reward_model_loss`
K replies with rewards       :func:`infonca_loss`, :func:`nca_loss`, :func:`copg_loss`
replies of the policy        :func:`online_kl_loss`
parts of episodes            :func:`cpl_loss`, :func:`cpl_rank_loss`
===========================  =======================================================================================
"""

from nearfar.losses.preference.online import online_kl_loss
from nearfar.losses.preference.pairs import dpo_loss, implicit_reward, ipo_loss, nca_pair_loss, reward_model_loss
from nearfar.losses.preference.rated import copg_loss, infonca_loss, nca_loss
from nearfar.losses.preference.segments import cpl_loss, cpl_rank_loss
from nearfar.losses.preference.sequences import sequence_logps, token_logps

__all__ = [
    "copg_loss",
    "cpl_loss",
    "cpl_rank_loss",
    "dpo_loss",
    "implicit_reward",
    "infonca_loss",
    "ipo_loss",
    "nca_loss",
    "nca_pair_loss",
    "online_kl_loss",
    "reward_model_loss",
    "sequence_logps",
    "token_logps",
]
