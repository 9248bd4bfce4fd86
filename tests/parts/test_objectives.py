"""Any objective on any field's views."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.parts.objectives import OBJECTIVES, Objective, objective
from nearfar.training import Training

SLUGS = ("contrast-images", "contrast-text", "contrast-graphs")
DATA = {"contrast-images": {"size": 16}, "contrast-text": {"examples": 60}, "contrast-graphs": {"nodes": 150}}


def test_the_type_names_every_objective() -> None:
    assert set(get_args(Objective)) == set(OBJECTIVES)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("slug", SLUGS)
def test_every_objective_trains_on_every_fields_views(slug: str, name: str) -> None:
    entry = find(slug)
    data = workflow.load_data(entry.field, None, **DATA[slug])
    arguments = {**workflow.laptop_settings(entry, tiny=True)[0], "objective": name}
    method = workflow.build_method(entry, arguments, data, 0)
    before = {k: v.clone() for k, v in method.encoder.state_dict().items()}
    settings = Training(steps=2, batch_size=8, monitor_every=-1, precision="32")
    workflow.fit(method, data, settings, progress=False)
    after = method.encoder.state_dict()
    assert any(not torch.equal(v, after[k]) for k, v in before.items())
    assert all(np.isfinite(v.float().numpy()).all() for v in after.values())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_prefers_views_that_agree(name: str) -> None:
    torch.manual_seed(0)
    a = torch.randn(64, 8)

    def value(b: torch.Tensor) -> float:
        terms = objective(name)(a, b, 0.2)
        return float(terms if isinstance(terms, torch.Tensor) else torch.stack([*terms.values()]).sum())

    assert value(a + 0.05 * torch.randn(64, 8)) < value(torch.randn(64, 8))


@pytest.mark.parametrize(("name", "said"), [("byol_regression", "train byol"), ("nce", "there are info_nce")])
def test_other_names_are_refused(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        objective(name)
