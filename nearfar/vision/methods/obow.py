"""OBoW: online bags of visual words."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nearfar.common.share import for_examples
from nearfar.encoders import ImageEncoder
from nearfar.losses import bag_divergence
from nearfar.parts import MomentumEncoder, VisualWords, WordWeights, feature_levels, level_maps
from nearfar.parts.visual_words import Pool, Update
from nearfar.training import Optimization
from nearfar.vision.method import ImageBatch, ImageMethod, together
from nearfar.vision.views import Recipe, recipe_pair

PER_SIDE = 3


class OBoW(ImageMethod):
    """Gidaris et al., 2020, arXiv 2012.11552.

    A slowly moving teacher sees the whole image and says which visual words it holds, words being local features
    that it made of other images; the student must say so from small distorted crops. What an image *contains* is
    asked for, so several things may lie in it, and no image is pushed away from another: use it where pictures are
    scenes; where each is one centred thing SimCLR or MoCo is plainer. Pictures must be large enough for maps of 3x3
    cells and more at the levels of the words.

    Defaults are those of the full version for ResNet-50, 200 epochs: words of conv4 and conv5, 2 crops and 5 patches.
    The released code for ResNet-18 has ``inv_delta=10, kappa=5`` and a rate of 0.05; the vanilla version words of
    conv5 only (``strides=[32]``), one crop and no patches.

    Args:
        encoder: image encoder, by name or as a module; its backbone must give maps.
        words: size of each level's vocabulary.
        strides: pixels per cell of the maps that words are made of; 16 and 32 are conv4 and conv5 of a ResNet.
        inv_delta: sharpness of the assignment to words, above 0.
        kappa: scale of the predictions, above 0.
        pool: how positions become a bag, ``max`` or ``avg``.
        update: what an image gives for a new word; see :class:`nearfar.parts.VisualWords`.
        momentum: of the teacher at the start; it rises to 1 along a cosine.
        crops: random crops the student sees, at least 1.
        crop_size: their side in pixels (the teacher's picture has 224 in the paper).
        crop_scale: range of their area as a share of the image's.
        patches: parts the student sees beside them, drawn from 3x3 overlapping ones of one view; 0 to 9.
        patch_size: their side in pixels.
        patch_source: side of the view they are cut from.
        patch_jitter: how far each may be shifted, in pixels.
        views: recipe whose colours crops and patches have; patches are not blurred.
        flip: chance of a mirror image, the teacher's included.
        optimization: SGD with a cosine.
    """

    encoder: ImageEncoder

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50",
        *,
        words: int = 8192,
        strides: Sequence[int] = (16, 32),
        inv_delta: float = 15.0,
        kappa: float = 8.0,
        pool: Pool = "max",
        update: Update = "local_average",
        momentum: float = 0.99,
        crops: int = 2,
        crop_size: int = 160,
        crop_scale: tuple[float, float] = (0.08, 0.6),
        patches: int = 5,
        patch_size: int = 96,
        patch_source: int = 256,
        patch_jitter: int = 24,
        views: str = "moco-v2",
        flip: float = 0.5,
        optimization: Optimization = Optimization(
            "sgd", lr=0.03, lr_batch=256, weight_decay=1e-4, decay_all=True, warmup=0.05, floor=0.001
        ),
    ) -> None:
        colours = recipe_pair(views)[0].with_(flip=flip)
        crop = colours.with_(size=crop_size, scale=crop_scale)
        source = colours.with_(size=patch_source, scale=(0.6, 1.0), blur_p=0.0)
        recipes = [Recipe(scale=None, flip=flip), *[crop] * crops, *[source] * (patches > 0)]
        super().__init__(encoder, recipes, optimization, count=len(recipes))
        if crops < 1 or not 0 <= patches <= PER_SIDE**2:
            raise ValueError(f"crops must be at least 1 and patches in [0, 9], got {crops} and {patches}")
        known = {level.stride: level for level in feature_levels(self.encoder.backbone)}
        if not strides or not set(strides) <= set(known):
            raise ValueError(f"strides must be some of {sorted(known)}, which the encoder has, got {[*strides]}")
        self.levels = [known[stride] for stride in strides]
        self.vocabularies = nn.ModuleList(
            VisualWords(words, level.width, inv_delta=inv_delta, pool=pool, update=update) for level in self.levels
        )
        self.weights = nn.ModuleList(WordWeights(level.width, self.features, kappa=kappa) for level in self.levels)
        self.teacher = MomentumEncoder(self.encoder, momentum)
        self.crops, self.patches = crops, patches
        self.patch_size, self.patch_jitter = patch_size, patch_jitter

    def views(self, batch: ImageBatch) -> tuple[Tensor, ...]:
        """The whole pictures, then the crops, then the patches, as floats in [0, 1]."""
        views = super().views(batch)
        if not self.patches:
            return views
        size, jitter = self.patch_size, self.patch_jitter
        return (*views[:-1], *cut_patches(views[-1], self.patches, size, jitter, self.generator))

    def loss(self, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        whole, *parts = views
        bags = self.bags(whole)
        weights = [head(words.words) for head, words in zip(self.weights, self.vocabularies, strict=True)]
        errors = [
            torch.stack([bag_divergence(features @ w.t(), bag) for w, bag in zip(weights, bags, strict=True)]).mean()
            for features in together(self.encoder, parts)
        ]
        terms = {"crops": torch.stack(errors[: self.crops]).mean()}
        if self.patches:
            terms["patches"] = torch.stack(errors[self.crops :]).mean()
        return terms

    @torch.no_grad()
    def bags(self, whole: Tensor) -> list[Tensor]:
        """The teacher's bags (N, K) of whole pictures, one for each level."""
        teacher = self.teacher.module
        assert isinstance(teacher, ImageEncoder)
        maps = level_maps(teacher.backbone, self.levels, teacher.standardized(whole))
        bags = []
        for number, (level, vocabulary) in enumerate(zip(maps, self.vocabularies, strict=True)):
            assert isinstance(vocabulary, VisualWords)
            distances = vocabulary.distances(level)
            if self.training:
                vocabulary.track(self.gather(distances.amin(2).mean().view(1, 1))[0].mean())
            self.collect(**{f"words {number}": vocabulary.candidates(level, self.generator)})
            bags.append(vocabulary.bags(distances))
        return bags

    def after_step(self) -> None:
        self.teacher.update(self.encoder, self.progress)
        for number, vocabulary in enumerate(self.vocabularies):
            vocabulary.enqueue(self.collected(f"words {number}"))  # type: ignore[operator]


def cut_patches(images: Tensor, count: int, size: int, jitter: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """``count`` different ones of 3x3 overlapping patches of each image, each shifted at random.

    Args:
        images: (N, 3, H, W).
        count: 1 to 9.
        size: side of a patch in pixels.
        jitter: largest shift to the right and down, in pixels.

    Returns:
        ``count`` times (N, 3, size, size).

    Raises:
        ValueError: images that are smaller than a shifted patch.
    """
    n, _, height, width = images.shape
    if min(height, width) < size + jitter:
        raise ValueError(f"patches of {size} pixels shifted by up to {jitter} do not fit into {height}x{width} pixels")
    source = generator.device
    keys = for_examples(lambda n: torch.rand(n, PER_SIDE**2, generator=generator, device=source), n)
    chosen = keys.argsort(1)[:, :count].to(images.device)
    spans = []
    for side, place in ((height, chosen // PER_SIDE), (width, chosen % PER_SIDE)):
        shift = for_examples(lambda n: torch.randint(jitter + 1, (n, count), generator=generator, device=source), n)
        shift = shift.to(images.device)
        start = place * ((side - size - jitter) // (PER_SIDE - 1)) + shift
        spans.append(start.unsqueeze(2) + torch.arange(size, device=images.device))
    rows, columns = spans[0].unsqueeze(3), spans[1].unsqueeze(2)
    which = torch.arange(n, device=images.device).view(n, 1, 1, 1)
    return tuple(images.permute(0, 2, 3, 1)[which, rows, columns].permute(1, 0, 4, 2, 3))
