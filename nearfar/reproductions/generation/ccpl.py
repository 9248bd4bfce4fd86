"""CCPL: pictures that keep their differences of neighbours make steadier clips in the same style."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from nearfar.generation.data import load
from nearfar.generation.methods.ccpl import CCPL
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.harness import Claim, Reproduction

TEACHING, STEPS = 300, 300


class Untouched(nn.Module):
    """Contents as they are."""

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        return content


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load("styled-photos", data_seed=seed)
    taught = build("ccpl", data, seed, teaching=1 - 1 / TEACHING)
    assert isinstance(taught, CCPL)
    train("ccpl", taught, data, seed, steps=TEACHING)
    rate = replace(taught.optimization, lr=2e-3)
    scores = {"taught, not styling": dict(taught.evaluate(data, seed=seed))}
    for name, weight in (("ccpl", 5.0), ("no coherence", 0.0)):
        method = build("ccpl", data, seed, encoder="small-random", coherence_weight=weight, optimization=rate)
        assert isinstance(method, CCPL)
        method.encoder.load_state_dict(taught.encoder.state_dict())
        train("ccpl", method, data, seed, steps=STEPS)
        scores[name] = dict(method.evaluate(data, seed=seed))
    taught.encoder = Untouched()  # type: ignore[assignment]
    scores["contents as they are"] = dict(taught.evaluate(data, seed=seed))
    return scores


REPRODUCTION = Reproduction(
    run=run,
    seeds=4,
    setting=f"""600 pictures of 48 x 48 pixels, a third each cut from photographs, drawn textures and letters, in the
    style of 200 other drawn textures; 60 contents and 20 styles are held out. A frozen network of three maps of 16, 32
    and 64 channels stands for VGG (the paper's layout for photographs), after {TEACHING} steps of learning to return
    pictures, which both arms share together with the decoder. Then {STEPS} steps of 8 patches of 32 pixels for each,
    Adam 2e-3, with the paper's weights, the coherence's 5 or 0. No clip is seen in training: the error is that between
    a content and the same moved by 2 pixels with noise of 0.02.""",
    claims=(
        Claim("Styled pictures of a moved content differ less", "ccpl", "no coherence", "temporal error", "lower"),
        Claim(
            "The style is not further off by more than 0.005",
            "ccpl",
            "no coherence",
            "style error",
            better="lower",
            margin=-0.005,
        ),
        Claim("More of the content's structure stays", "ccpl", "no coherence", "content ssim", role="ablation"),
        Claim(
            "The style is nearer than that of the contents as they are",
            "ccpl",
            "contents as they are",
            "style error",
            better="lower",
            role="sanity",
        ),
    ),
)
