"""DAS: residual codes, contrast without false negatives, and training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar import workflow
from nearfar.evaluation import clustering
from nearfar.losses import masked_contrast, symmetric_info_nce
from nearfar.parts import ResidualQuantizer
from nearfar.recommend.data.adverts import adverts
from nearfar.recommend.evaluation import evaluate
from nearfar.recommend.methods import DAS
from nearfar.reproductions.arms import build, train
from nearfar.training import Training


def test_codes_are_nearest_level_by_level_and_gradients_skip_the_choice() -> None:
    quantizer = ResidualQuantizer(2, 5, 3).double()
    x = torch.randn(20, 3, dtype=torch.float64, requires_grad=True)
    z, ids, loss = quantizer(x)
    first = ((x[:, None] - quantizer.books[0]) ** 2).sum(2).argmin(1)
    residual = x - quantizer.books[0][first]
    second = ((residual[:, None] - quantizer.books[1]) ** 2).sum(2).argmin(1)
    assert torch.equal(ids, torch.stack((first, second), 1))
    torch.testing.assert_close(z, quantizer.books[0][first] + quantizer.books[1][second])
    torch.testing.assert_close(quantizer.vectors(ids), z)
    (grad,) = torch.autograd.grad(z.sum(), x, retain_graph=True)
    assert torch.equal(grad, torch.ones_like(x))
    loss.backward()
    assert quantizer.books.grad is not None
    with pytest.raises(ValueError, match="levels from 1"):
        ResidualQuantizer(0, 5, 3)


def test_dead_codes_begin_anew() -> None:
    x = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    quantizer = ResidualQuantizer(1, 8, 3)
    quantizer.books.data += 100
    quantizer.books.data[0, 0] = 0
    assert len(quantizer(x)[1].unique()) == 1
    quantizer.settle(x, np.random.default_rng(0), only_dead=True)
    assert len(quantizer(x)[1].unique()) > 5
    quantizer.settle(x, np.random.default_rng(0))
    assert len(quantizer(x)[1].unique()) == 8


def test_without_related_pairs_it_is_symmetric_info_nce() -> None:
    a, b = (torch.randn(6, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    none = torch.zeros(6, 6, dtype=torch.bool)
    torch.testing.assert_close(masked_contrast(a, b, none, temperature=0.3), symmetric_info_nce(a, b, temperature=0.3))
    related = none.clone()
    related[0, 1] = related[2, 2] = True  # the second is a positive and stays
    assert masked_contrast(a, b, related, temperature=0.3) < masked_contrast(a, b, none, temperature=0.3)
    assert torch.autograd.gradcheck(lambda x, y: masked_contrast(x, y, related, temperature=0.3), (a, b))
    with pytest.raises(TypeError, match="boolean"):
        masked_contrast(a, b, related.float(), temperature=0.3)


def test_codes_learn_from_clicks_and_a_run_is_opened_again(tmp_path) -> None:  # type: ignore[no-untyped-def]
    data = adverts(100, 120)
    changes = {"dim": 16, "levels": 2, "codes": 16}
    found = {}
    for align in ("codes", "nothing"):
        method = build("das", data, 0, align=align, **changes)
        train("das", method, data, 0, epochs=12, batch_size=256)
        groups = method.encoder.item.ids()[:, 0].numpy()
        agreement = clustering(data.item_groups, groups)["nmi"]
        found[align] = agreement, evaluate(method, data)["recall@20"], len(set(groups))
    assert found["codes"][1] > found["nothing"][1]
    assert found["codes"][2] > 6
    options = {"dim": 8, "levels": 2, "codes": 8}
    method, run = workflow.train(
        "das",
        data="adverts",
        out=tmp_path / "r",
        data_options={"shoppers": 60},
        arguments=options,
        training=Training(steps=2, batch_size=64),
        progress=False,
    )
    assert run is not None
    _, again, _ = workflow.load_run(run.path)
    assert np.array_equal(again.rank([0, 1], 5)[0], method.rank([0, 1], 5)[0])
    with pytest.raises(ValueError, match="content of both sides"):
        DAS(3, 3, 3)
