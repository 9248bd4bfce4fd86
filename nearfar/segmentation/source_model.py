"""Starting from a finished segmenter: its weights, a projector beside it, slower steps."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_model
from torch import Tensor, nn

from nearfar.segmentation.heads import join


class Projector(nn.Module):
    """Maps at all depths, brought to the finest one's size and concatenated, through two 1x1 convolutions.

    Args:
        widths: widths of the maps.
        dim: width of the embeddings.
    """

    def __init__(self, widths: tuple[int, ...], dim: int) -> None:
        super().__init__()
        width = sum(widths)
        self.layers = nn.Sequential(nn.Conv2d(width, width, 1), nn.ReLU(inplace=True), nn.Conv2d(width, dim, 1))
        self.same = nn.ModuleList(nn.Identity() for _ in widths)
        first, last = self.layers[0], self.layers[2]
        assert isinstance(first, nn.Conv2d)
        assert isinstance(last, nn.Conv2d)
        nn.init.kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(last.weight, std=0.01)
        for layer in (first, last):
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, maps: list[Tensor]) -> Tensor:
        return self.layers(join(self.same, maps))


def load_source(segmenter: nn.Module, path: Path) -> None:
    """The weights of a finished run's segmenter.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is another architecture.
    """
    file = path / "encoder.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"source: there is no finished run in {path} (no {file.name})")
    try:
        load_model(segmenter, str(file))
    except RuntimeError as error:
        raise ValueError(
            f"source: {file} holds another architecture; train with its encoder, decoder, decoder_width and number of "
            f"classes ({str(error).splitlines()[0]})"
        ) from None
