"""Pictures as words: the nearest of a set of patches, in place of each patch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from nearfar.parts.patches import patchify, unpatchify

PER_CODE = 64
"""Patches that a code is made of, at most."""
AWAY = 10.0
"""A pixel of codes that nothing chooses; pixels are in [0, 1]."""
ROWS = 65536


class PatchCodes(nn.Module):
    """A vocabulary of patches, the centres that k-means finds among those of training pictures.

    It is the discrete tokenizer of masked and autoregressive image models, without a network: exact for drawings and
    blurred for photographs, whose patches vary more than any list of them. Anything with ``codes`` and ``patch`` that
    was trained on photographs, such as the decoder of a VQGAN, takes its place. Nothing in it has a gradient.

    Args:
        count: number of codes, at least 2.
        patch: side of a patch in pixels.

    Attributes:
        centres: (count, patch * patch * 3) in [0, 1]; before :meth:`fit` and beyond the different patches that it saw,
            codes that nothing chooses.
    """

    centres: Tensor

    def __init__(self, count: int, patch: int) -> None:
        super().__init__()
        if count < 2 or patch < 1:
            raise ValueError(f"count must be at least 2 and patch at least 1, got {count} and {patch}")
        self.count, self.patch = count, patch
        self.register_buffer("centres", torch.full((count, 3 * patch**2), AWAY))

    @torch.no_grad()
    def fit(self, images: Tensor, seed: int = 0) -> None:
        """Find the centres of the patches of pictures (N, 3, H, W), uint8 or in [0, 1]."""
        from sklearn.cluster import MiniBatchKMeans

        rng = np.random.default_rng(seed)
        patches = patchify(_unit(images), self.patch).flatten(0, 1).cpu().numpy()
        chosen = rng.permutation(len(patches))[: PER_CODE * self.count]
        patches = np.unique(patches[np.sort(chosen)], axis=0)
        found = patches
        if len(patches) > self.count:
            model = MiniBatchKMeans(self.count, n_init=1, batch_size=4096, random_state=seed)
            found = model.fit(patches).cluster_centers_
        self.centres.fill_(AWAY)
        self.centres[: len(found)] = torch.from_numpy(found).to(self.centres)

    @property
    def known(self) -> Tensor:
        """(count,) bool, whether a code stands for a patch."""
        return (self.centres != AWAY).any(1)

    @torch.no_grad()
    def codes(self, images: Tensor) -> Tensor:
        """Pictures (N, 3, H, W), uint8 or in [0, 1], as codes (N, L), row by row."""
        patches = patchify(_unit(images), self.patch)
        rows = patches.flatten(0, 1)
        centres = self.centres.to(rows)
        nearest = [torch.cdist(part, centres).argmin(1) for part in rows.split(ROWS)]
        return torch.cat(nearest).view(patches.shape[:2])

    @torch.no_grad()
    def pictures(self, codes: Tensor, height: int, width: int) -> Tensor:
        """Codes (N, L) as pictures (N, 3, height, width) uint8."""
        pixels = unpatchify(self.centres[codes], self.patch, height, width)
        return (pixels.clamp(0, 1) * 255).round().to(torch.uint8)


def _unit(images: Tensor) -> Tensor:
    return images.float() / 255 if images.dtype == torch.uint8 else images.float()
