"""Goals, skills and futures: contrast in agents and world models.

==========================================  ==============================================================
futures against random states, pairs        :func:`pairwise_nce`, :func:`c_learning`
futures against random states, softmax      :func:`penalized_info_nce`, :func:`td_info_nce`
views of one picture                        :func:`bilinear_info_nce`
what the actor climbs                       :func:`reaching`, :func:`picking`, :func:`example_value`
later in a trajectory against elsewhere     :func:`belief_nce`
what a memory does not tell                 :func:`curiosity`
which candidate a solver branches on         :func:`branching`
imagined states and a preferred picture      :func:`contrastive_free_energy`
denoised states and their returns           :func:`return_contrast`
states of one skill                         :func:`becl`, :func:`becl_alone`
consecutive frames, predicted futures       :func:`st_dim`, :func:`latent_info_nce`, :func:`latent_hinge`
soft actor-critic                           :func:`soft_target`, :func:`value_regression`, :func:`soft_actor`,
                                            :func:`entropy_price`
==========================================  ==============================================================
"""

from nearfar.losses.control.belief import belief_nce
from nearfar.losses.control.bilinear import bilinear_info_nce
from nearfar.losses.control.branching import branching
from nearfar.losses.control.curiosity import curiosity
from nearfar.losses.control.difference import picking, td_info_nce
from nearfar.losses.control.free_energy import contrastive_free_energy
from nearfar.losses.control.futures import c_learning, pairwise_nce, penalized_info_nce
from nearfar.losses.control.latent import latent_hinge, latent_info_nce
from nearfar.losses.control.reaching import cloning, example_value, reaching
from nearfar.losses.control.returns import return_contrast
from nearfar.losses.control.skills import becl, becl_alone
from nearfar.losses.control.soft import entropy_price, soft_actor, soft_target, value_regression
from nearfar.losses.control.spatial import st_dim

__all__ = [
    "becl",
    "becl_alone",
    "belief_nce",
    "bilinear_info_nce",
    "branching",
    "c_learning",
    "cloning",
    "contrastive_free_energy",
    "curiosity",
    "entropy_price",
    "example_value",
    "latent_hinge",
    "latent_info_nce",
    "pairwise_nce",
    "penalized_info_nce",
    "picking",
    "reaching",
    "return_contrast",
    "soft_actor",
    "soft_target",
    "st_dim",
    "td_info_nce",
    "value_regression",
]
