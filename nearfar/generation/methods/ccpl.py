"""CCPL: style transfer that keeps what a place is beside its neighbours, so that clips do not flicker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.generation.cuttings import cuttings
from nearfar.generation.data.styles import StyledBatch
from nearfar.generation.made import Made, Picture
from nearfar.generation.method import BATCH, Draws, Generates
from nearfar.generation.styled import beside_styles, style_scores
from nearfar.generation.stylizing import LEAST, Mode, StyleNetwork, feature_network, fitting
from nearfar.generation.upscaling import as_pixels
from nearfar.losses import coherence_contrast, style_statistics
from nearfar.sources.data import Data
from nearfar.system import Scores
from nearfar.training import Method, Optimization, Phase


class StyleViews(NamedTuple):
    """Cuttings of contents and of styles, each (N, 3, S, S) in [0, 1]."""

    content: Tensor
    style: Tensor


class CCPL(Generates, Method):  # type: ignore[misc]
    r"""Contrastive coherence preserving loss with the simple covariance transform (Wu et al., 2022, arXiv 2207.04808;
    released code: JarrentWu1031/CCPL).

    .. math:: L = w_c \| F_4(g) - F_4(c) \|^2 + w_s \sum_{l=1}^{4} L_{style}(F_l(g), F_l(s)) + w_{ccp} \sum_{l=2}^{4}
              L_{ccp}(F_l(g), F_l(c))

    on the features F of a frozen network, for a picture g made of content c and style s. The style loss compares means
    and deviations of channels (:func:`nearfar.losses.style_statistics`). The coherence loss compares, at random cells,
    the differences to the neighbours (:func:`nearfar.losses.coherence_contrast`), which keeps clips steady although no
    clip is ever seen. SCT makes the deepest map; see :mod:`nearfar.generation.stylizing`.

    The paper's frozen network is VGG-19 up to relu4_1, or for photographs up to relu3_1, which cannot be had here
    without its file: name it with ``encoder="vgg:<file>"``. The default, ``small``, has a convolution for each map and
    a quarter of the width; for the first ``teaching`` of the run it learns, with a decoder that has batch norms, to
    return the pictures that it is shown, and is frozen then. ``small-random`` has random weights that stay. The paper's
    rate falls to a ninth as 1 / (1 + 5e-5 t); here it falls there in a straight line. Its cuttings are neither mirrored
    nor turned; here they are.

    ``nearfar generate RUN FRAMES -o OUT --styles FOLDER`` works on pictures, or the frames of a clip, at their own
    sizes; content n gets style n modulo the number of styles, so that a clip takes a folder with one picture.

    Args:
        encoder: ``small``, ``small-random``, ``vgg:<file>``, or a module with maps.
        mode: ``art``, or ``photo``, which leaves out the deepest map and keeps more of the content.
        width: of the small network's first map.
        transform: ``sct``, or ``adain``, the statistics alone.
        hidden: channels of SCT's covariance.
        patch: side of the cuttings that are trained on, in pixels, a multiple of the deepest map's stride of 8 or 4.
        content_weight, style_weight, coherence_weight: of the terms, at least 0.
        levels: the deepest so many maps that coherence is asked of.
        samples: cells of each map, with 8 neighbours each; fewer where a map has fewer.
        temperature: of the coherence loss, above 0. The released training takes 0.07 whatever it is told.
        teaching: share of the run in which a small network learns, in [0, 1); others do not need it.
        largest: longer side in pixels that whole pictures are brought down to before they are worked on.
        optimization: Adam, of everything that is not frozen.
    """

    verbs = ("generates",)
    takes = StyledBatch
    can_collapse = False

    def __init__(
        self,
        encoder: str | nn.Module = "small",
        *,
        mode: Mode = "art",
        width: int = 16,
        transform: Literal["sct", "adain"] = "sct",
        hidden: int = 32,
        patch: int = 256,
        content_weight: float = 1.0,
        style_weight: float = 10.0,
        coherence_weight: float = 5.0,
        levels: int = 3,
        samples: int = 8,
        temperature: float = 0.07,
        teaching: float = 0.1,
        largest: int = 1024,
        optimization: Optimization = Optimization("adam", lr=1e-4, weight_decay=0.0, schedule="linear", floor=1 / 9),
    ) -> None:
        super().__init__(optimization)
        weights = (content_weight, style_weight, coherence_weight)
        if min(weights) < 0 or levels < 1 or samples < 1 or not 0 <= teaching < 1 or largest < LEAST:
            raise ValueError(
                "weights must be at least 0, levels and samples at least 1, teaching in [0, 1) and largest at least "
                f"{LEAST}, got {weights}, {levels}, {samples}, {teaching} and {largest}"
            )
        network, knows = feature_network(encoder, width, mode)
        if knows:
            network.requires_grad_(False)
        widths: Sequence[int] = network.widths  # type: ignore[assignment]
        between = (widths[-1] // 2,) if mode == "photo" else None
        small = isinstance(encoder, str) and encoder.startswith("small")
        self.encoder: StyleNetwork = StyleNetwork(network, transform, hidden, between, small)
        if patch % self.encoder.stride or patch < LEAST or levels > len(widths):
            raise ValueError(
                f"patch must be a multiple of {self.encoder.stride}, at least {LEAST}, and levels at most the "
                f"{len(widths)} maps, got {patch} and {levels}"
            )
        self.projectors = nn.ModuleList(
            nn.Sequential(nn.Linear(c, c), nn.ReLU(), nn.Linear(c, max(c // 4, 1))) for c in widths[-levels:]
        )
        self.phases = () if knows else (Phase("teaching", teaching), Phase("styling"))
        self.weights, self.levels, self.samples = weights, levels, samples
        self.patch, self.temperature, self.largest = patch, temperature, largest

    def views(self, batch: StyledBatch) -> StyleViews:
        """A random cutting of each content and of a style, drawn among those of the batch."""
        assert isinstance(batch.images, Tensor)
        content, style = (
            cuttings(each.float() / 255, self.patch, self.generator) for each in (batch.images, batch.styles)
        )
        order = torch.randperm(len(style), generator=self.generator, device=style.device)
        return StyleViews(content, style[order])

    def loss(self, views: StyleViews) -> dict[str, Tensor]:
        if self.phase == "teaching":
            shown = torch.cat(views)
            maps = self.encoder.features(shown)
            self.encoder.features.measure(maps)  # type: ignore[operator]
            return {"returned": F.mse_loss(self.encoder.decoder(maps[-1]), shown)}
        with torch.no_grad():
            content, style = self.encoder.features(views.content), self.encoder.features(views.style)
        made = self.encoder.features(self.encoder.decoder(self.encoder.transform(content[-1], style[-1])))
        of_content, of_style, of_coherence = self.weights
        terms = {
            "content": of_content * F.mse_loss(made[-1], content[-1]),
            "style": of_style * torch.stack([style_statistics(m, s) for m, s in zip(made, style, strict=True)]).sum(),
        }
        if of_coherence:
            terms["coherence"] = of_coherence * self.coherence(made[-self.levels :], content[-self.levels :])
        return terms

    def coherence(self, made: list[Tensor], content: list[Tensor]) -> Tensor:
        """The coherence loss of each level at cells of its own, the same ones in both pictures, summed."""
        found = []
        for project, m, c in zip(self.projectors, made, content, strict=True):
            rows, columns = (side - 2 for side in m.shape[2:])
            chosen = torch.randperm(rows * columns, generator=self.generator, device=m.device)[: self.samples]
            centres = (chosen // columns + 1) * m.shape[3] + chosen % columns + 1
            found.append(coherence_contrast(m, c, centres, project, temperature=self.temperature))
        return torch.stack(found).sum()

    def before_step(self) -> None:
        """The features are frozen once they are taught."""
        if self.phase == "styling":
            for p in self.encoder.features.parameters():
                p.grad = None

    def generate(self, data: Data, *, seed: int = 0, batch_size: int = BATCH) -> Iterator[Made]:
        """Each content in its style; files are taken at their own sizes, one at a time. Contents alone get drawn
        textures."""
        whole = beside_styles(data)
        return super().generate(whole, seed=seed, batch_size=batch_size if whole is data else 1)

    def make(self, batch: StyledBatch, draws: Draws) -> list[Made]:
        """The content in the style."""
        found = []
        for image, style, row in zip(batch.images, batch.styles, batch.rows.tolist(), strict=True):
            content = fitting(image.to(self.device).float()[None] / 255, self.largest)
            made = self.encoder(content, style.to(self.device)[None].float() / 255)[0]
            found.append(Made(row, {"": Picture(as_pixels(made))}, given=Picture(as_pixels(content[0]))))
        return found

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """See :func:`nearfar.generation.styled.style_scores`."""
        return style_scores(self.encoder, self, data, seed=seed)
