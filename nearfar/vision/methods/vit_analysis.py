"""Teaching Matters: an analysis of any vision transformer."""

from __future__ import annotations

import torch
from torch import nn

from nearfar.sources.data import Data
from nearfar.system import Procedure, Scores
from nearfar.training import Optimization
from nearfar.vision.measures.attention import attention, layers
from nearfar.vision.method import ImageMethod

DESCRIBED = ("distance", "position deviation", "head deviation", "on class", "offset", "cka")
"""What only describes; overlap with objects, neighbours and clusters are better when higher."""


class VitAnalysis(Procedure):
    """Walmer, Suri, Gupta & Shrivastava, 2023, arXiv 2212.03862 (Teaching Matters).

    How a vision transformer was taught shows in where it looks and in what its layers know. Nothing is trained: for
    every layer of the encoder that is named, on 512 held-out pictures at most, all of
    :func:`nearfar.vision.measures.attention` (how far patches look, how much they and the heads differ in it, and how
    well attention covers objects where the data have masks) and of :func:`~nearfar.vision.measures.layers` (neighbours
    and clusters by the class token and by the patches, likeness with the last layer).

    Of runs, ``nearfar evaluate runs/simclr runs/mae --also attention layers`` says the same, side by side and
    beside the untrained encoder.

    Args:
        encoder: a vision transformer: ``vit-...``, ``hf:...``, or a module. ``vit-...`` is untrained, which is what to
            compare with.
    """

    verbs = ()

    def __init__(self, encoder: str | nn.Module = "vit-b16") -> None:
        self.encoder = encoder

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """Every number of both measures; ``seed`` draws the pictures, and the weights of an untrained encoder.

        Raises:
            TypeError: an encoder without attention. ValueError: pictures that are not square.
        """
        torch.manual_seed(seed)
        looked = ImageMethod(self.encoder, "gentle", Optimization()).eval()
        found = Scores(attention(looked, data, seed=seed) | layers(looked, data, seed=seed))
        return found.direct(neither=[name for name in found if name.startswith(DESCRIBED)])
