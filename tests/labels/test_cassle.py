"""CaSSLe: the released distillations, the past network, a stream that is killed and resumed, what is measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar.cli import main
from nearfar.labels.data.digits import split_classes
from nearfar.labels.evaluation import evaluate, task_accuracies
from nearfar.labels.methods.cassle import CaSSLe
from nearfar.reproductions.arms import build, train
from nearfar.runs.run import Run
from nearfar.training import Training, fit
from tests.labels.learning import one_loss, small
from tests.parity import ParityCase, parity
from tests.training.test_fit import StopAt, assert_equal, weights

KINDS = ("contrastive", "decorrelative", "predictive", "mse")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", parity("cassle", "distill_losses"))
def test_the_released_distillations(case: ParityCase, kind: str) -> None:
    arrays = case.load()
    method = build("cassle", small("digit-tasks"), 0, kind=kind, temperature=case.hyper["temperature"])
    p, z = ((arrays[f"in_{name}1"], arrays[f"in_{name}2"]) for name in ("p", "z"))
    value = method.distillation(p, z)
    torch.testing.assert_close(value, arrays[f"out_{kind}"], rtol=1e-8, atol=1e-8)
    found = torch.autograd.grad(value, p)
    for name, own in zip(("p1", "p2"), found, strict=True):
        torch.testing.assert_close(own, arrays[f"grad_{name}_{kind}"], rtol=1e-7, atol=1e-8)


def test_the_past_stays_as_it_was_and_only_later_tasks_have_one() -> None:
    data = small("digit-tasks")
    method = build("cassle", data, 0)
    method.begin(data)
    method.begin_task(0, data.tasks[0])
    first = one_loss(method, data.tasks[0], 16)
    assert set(first) == {"simclr"}
    method.begin_task(1, data.tasks[1])
    method.train()
    assert not any(m.training for m in method.former.module.modules())
    before = {k: v.clone() for k, v in method.former.state_dict().items()}
    second = one_loss(method, data.tasks[1], 16)
    assert set(second) == {"simclr", "distillation"}
    second["distillation"].backward()
    assert all(p.grad is None for p in method.former.parameters())
    assert any(p.grad is not None and p.grad.any() for p in method.encoder.parameters())
    assert all(torch.equal(v, before[k]) for k, v in method.former.state_dict().items())


def test_a_killed_stream_resumes_to_the_bit(tmp_path: Path) -> None:
    data = small("digit-tasks")
    settings = Training(steps=10, batch_size=16, checkpoint_every=3, monitor_every=-1)
    expected = weights(fit(build("cassle", data, 0), data, settings, progress=False))
    cut = Run.create(tmp_path / "cut", {"method": "cassle"})
    with pytest.raises(KeyError, match="crash"):
        fit(build("cassle", data, 0), data, settings, run=cut, progress=False, callbacks=[StopAt(7)])
    again = fit(build("cassle", data, 0), data, settings, run=cut, checkpoint=cut.latest_checkpoint(), progress=False)
    assert_equal(weights(again), expected)
    assert not torch.isnan(again.history.accuracies).any()


def test_the_report_has_the_accuracy_matrix_forgetting_and_transfer() -> None:
    data = small("digit-tasks")
    method = train("cassle", build("cassle", data, 0), data, 0, steps=25, batch_size=32)
    scores = evaluate(method, data)
    for name in ("average_accuracy", "forgetting", "backward_transfer", "forward_transfer", "linear all tasks"):
        assert np.isfinite(scores[name]), name
    assert scores.better["forgetting"] == "lower"
    assert scores["after task 5: task 2"] == scores["accuracy task 2"]
    matrix = np.array([[scores[f"after task {t + 1}: task {j + 1}"] for j in range(5)] for t in range(5)])
    assert scores["average_accuracy"] == pytest.approx(matrix[-1].mean())
    start = method.history.accuracies[0].numpy()
    assert scores["forward_transfer"] == pytest.approx(np.mean(np.diag(matrix, 1) - start[1:]))


def test_the_command_trains_on_a_stream_and_evaluates_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--steps", "10", "--batch-size", "16", "--preset", "tiny", "--tasks", "2"]
    out = tmp_path / "run"
    assert main(["train", "cassle", "--data", "labelled-digits", "--size", "8", "--out", str(out), *words]) == 0
    assert main(["evaluate", str(out)]) == 0
    assert "forgetting" in capsys.readouterr().out


def test_a_task_of_one_class_has_no_accuracy_within_itself() -> None:
    whole = small("labelled-digits")
    data = whole.subset(np.flatnonzero(np.isin(whole.labels, (0, 1, 2)))).with_(splits=whole.splits())
    found = task_accuracies(build("cassle", data, 0), split_classes(data, 2))
    assert found.shape == (2,)
    assert np.isfinite(found[0])
    assert np.isnan(found[1])


def test_wrong_settings_get_one_sentence() -> None:
    with pytest.raises(ValueError, match="kind must be contrastive, decorrelative, predictive or mse"):
        CaSSLe("small-conv", kind="other")  # type: ignore[arg-type]
