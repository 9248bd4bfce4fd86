"""DAS: codes aligned with clicks while they are made, against codes of content and alignment before coding."""

from __future__ import annotations

from typing import Any

import torch

from nearfar.evaluation import clustering
from nearfar.recommend.data.adverts import adverts
from nearfar.recommend.evaluation import evaluate
from nearfar.recommend.methods import DAS
from nearfar.reproductions.arms import arm
from nearfar.reproductions.harness import Claim, Reproduction

EPOCHS = 30
AGREEMENT = "agreement of first codes with tastes"


def run(seed: int) -> dict[str, dict[str, float]]:
    data = adverts(300, 300, seed)

    def measure(method: Any) -> dict[str, float]:
        assert isinstance(method, DAS)
        assert data.item_groups is not None
        side = method.encoder.item
        ids = side.ids()
        with torch.no_grad():
            error = (side.back(side.quantizer.vectors(ids)) - side.content).square().mean().item()
        return {
            AGREEMENT: clustering(data.item_groups, ids[:, 0].numpy())["nmi"],
            "recall@20": evaluate(method, data)["recall@20"],
            "reconstruction error": error,
            "first codes in use": float(len(ids[:, 0].unique())),
        }

    settings = {"epochs": EPOCHS, "batch_size": 512}
    arms = {"das": "codes", "aligned before coding": "before", "content alone": "nothing"}
    return {name: arm("das", data, seed, measure, settings=settings, align=align) for name, align in arms.items()}


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""Generated clicks of 300 users on 300 adverts of twelve groups of taste, which content shows for six of
    ten; two levels of 24 codes of 32 numbers, {EPOCHS} epochs of batches of 512, Adam 3e-3. Aligned before coding: the
    same contrasts on the vectors before they are coded. Agreement: normalised mutual information. Items are ranked for
    users by the sums of their codes alone. The paper's own data is not public and no code was released.""",
    claims=(
        Claim("Aligned codes agree with tastes better than codes of content", "das", "content alone", AGREEMENT),
        Claim("Aligned codes find more of what is clicked", "das", "content alone", "recall@20"),
        Claim("Alignment of the codes beats that before coding", "das", "aligned before coding", "recall@20"),
    ),
)
