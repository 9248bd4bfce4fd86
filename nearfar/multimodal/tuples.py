"""Rows of any number of modalities, and a tower for each that embeds it into one space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.encoders import image_encoder, text_encoder
from nearfar.encoders.sound import sound_encoder

__all__ = ["KINDS", "Modalities", "Numbers", "RowEncoder", "Towers", "TupleBatch", "TupleEncoder"]

Kind = Literal["picture", "sound", "text", "numbers"]
KINDS: tuple[Kind, ...] = ("picture", "sound", "text", "numbers")


class TupleBatch(NamedTuple):
    """Rows with a cell for each of several modalities, as --modalities names them in a table.

    Attributes:
        cells: by name, pictures (N, 3, H, W) uint8, waves (N, L) float32, N strings, or numbers (N, F) float32. A cell
            that is missing holds that of another row, which nothing may read.
        present: (N, M) bool, whether the cell is there.
        rows: positions in the collection (N,) int64.
    """

    cells: Mapping[str, Any]
    present: Tensor
    rows: Tensor


@dataclass(frozen=True)
class Modalities:
    """What a method knows of its modalities. It is kept with the run.

    Args:
        names: of the modalities, in their order.
        kinds: of each, ``picture``, ``sound``, ``text`` or ``numbers``.
        centres: of each, the means of its numbers; empty for other kinds.
        spreads: of each, the standard deviations of its numbers.
        rate: samples per second of sounds.
    """

    names: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    centres: tuple[tuple[float, ...], ...] = ()
    spreads: tuple[tuple[float, ...], ...] = ()
    rate: int = 16000

    def __post_init__(self) -> None:
        for each in fields(self):  # a file gives lists
            value = getattr(self, each.name)
            if isinstance(value, list | tuple):
                made = tuple(tuple(v) if isinstance(v, list | tuple) else v for v in value)
                object.__setattr__(self, each.name, made)
        wrong = [kind for kind in self.kinds if kind not in KINDS]
        if wrong or not len(self.names) == len(self.kinds) == len(self.centres) == len(self.spreads):
            raise ValueError(f"modalities need a name, a kind of {', '.join(KINDS)}, a centre and a spread each")


@dataclass(frozen=True)
class Towers:
    """The encoders, one for each modality, by what it is.

    Args:
        picture: a name that :func:`nearfar.encoders.image_encoder` knows.
        sound: a name that :func:`nearfar.encoders.sound.sound_encoder` knows.
        text: a name that :func:`nearfar.encoders.text_encoder` knows.
        numbers: ``linear``, which leaves all to the projection, or ``mlp``, two hidden layers of width 256.
        max_length: tokens kept of a text.
        crop_scale: smallest share of a picture's area that the random crop keeps, in (0, 1].
    """

    picture: str = "resnet50"
    sound: str = "resnet18-sound"
    text: str = "small-bert"
    numbers: Literal["linear", "mlp"] = "mlp"
    max_length: int = 76
    crop_scale: float = 0.2


class RowEncoder(nn.Module):
    """What embeds rows of several modalities.

    Attributes:
        modalities: what they are.
    """

    modalities: Modalities

    def each(self, batch: TupleBatch) -> list[Tensor]:
        """Unit rows (N, D) of every modality in one space, or zeros where the cell is missing."""
        raise NotImplementedError(f"{type(self).__name__} does not define each(batch)")

    def forward(self, batch: TupleBatch) -> Tensor:
        """The modalities of each row side by side, (N, M * D)."""
        return torch.cat(self.each(batch), 1)


class TupleEncoder(RowEncoder):
    """A tower for each modality and a projection into a space that all share.

    Args:
        modalities: what they are.
        towers: their encoders.
        dim: width of the shared space.
        norm: whether a layer norm follows each projection.
        indicator: whether a missing cell has a representation of its own, which is learned for its modality and takes
            the place of the tower's. Without, it is the zero vector.
    """

    def __init__(
        self, modalities: Modalities, towers: Towers, dim: int, *, norm: bool = False, indicator: bool = False
    ) -> None:
        super().__init__()
        self.modalities = modalities
        made = [_tower(modalities, position, towers) for position in range(len(modalities.names))]
        self.towers = nn.ModuleList(made)
        self.projections = nn.ModuleList(
            nn.Sequential(nn.Linear(int(tower.out_features), dim), nn.LayerNorm(dim) if norm else nn.Identity())  # type: ignore[arg-type]
            for tower in made
        )
        self.missing = nn.ParameterList(
            [nn.Parameter(torch.randn(int(tower.out_features))) for tower in made] if indicator else []  # type: ignore[arg-type]
        )
        self.width = dim
        self.out_features = dim * len(made)

    def each(self, batch: TupleBatch) -> list[Tensor]:
        """Unit rows (N, dim) of every modality; where the cell is missing, its indicator's or zeros."""
        found = []
        for position, name in enumerate(self.modalities.names):
            if name not in batch.cells:
                raise ValueError(
                    f"the rows have no {name!r}, which this was trained on; they have {', '.join(batch.cells)}"
                )
            features = self.towers[position](batch.cells[name])
            here = batch.present[:, position, None]
            if len(self.missing):
                features = torch.where(here, features, self.missing[position].to(features.dtype))
            unit = F.normalize(self.projections[position](features), dim=1)
            found.append(unit if len(self.missing) else unit * here)
        return found


class Numbers(nn.Module):
    """Numbers (N, F), standardised as the training set was; those that are not there count as its mean."""

    by_example = ("forward",)

    centre: Tensor
    spread: Tensor

    def __init__(self, centre: Sequence[float], spread: Sequence[float], kind: str) -> None:
        super().__init__()
        self.register_buffer("centre", torch.tensor(centre), persistent=False)
        self.register_buffer("spread", torch.tensor(spread).clamp_min(1e-6), persistent=False)
        width = len(centre)
        hidden = 256
        self.net = (
            nn.Identity()
            if kind == "linear"
            else nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        )
        self.out_features = width if kind == "linear" else hidden

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] != len(self.centre):
            raise ValueError(f"expected {len(self.centre)} numbers in a row, got {x.shape[1]}")
        return self.net(((x - self.centre) / self.spread).nan_to_num())


def _tower(modalities: Modalities, position: int, towers: Towers) -> nn.Module:
    kind = modalities.kinds[position]
    if kind == "picture":
        return image_encoder(towers.picture)
    if kind == "sound":
        return sound_encoder(towers.sound, modalities.rate)
    if kind == "text":
        return text_encoder(towers.text, max_length=towers.max_length)
    if towers.numbers not in ("linear", "mlp"):
        raise ValueError(f"towers.numbers must be 'linear' or 'mlp', got {towers.numbers!r}")
    return Numbers(modalities.centres[position], modalities.spreads[position], towers.numbers)
