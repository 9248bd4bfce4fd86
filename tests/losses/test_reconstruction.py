"""The error of hidden patches: against its formula, blind to what was shown, named errors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nearfar.losses import masked_reconstruction, masked_tokens

N, L, P = 3, 4, 6


@pytest.fixture
def patches() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    prediction, target = torch.rand(2, N, L, P, generator=generator, dtype=torch.float64)
    return prediction, target, torch.rand(N, L, generator=generator) < 0.6


def slow(prediction: Tensor, target: Tensor, mask: Tensor, normalise: bool, correction: int) -> float:
    errors = []
    for n in range(N):
        for patch in range(L):
            if not mask[n, patch]:
                continue
            y = target[n, patch].tolist()
            if normalise:
                mean = sum(y) / P
                variance = sum((v - mean) ** 2 for v in y) / (P - correction)
                y = [(v - mean) / (variance + 1e-6) ** 0.5 for v in y]
            errors.append(sum((float(a) - b) ** 2 for a, b in zip(prediction[n, patch], y, strict=True)) / P)
    return sum(errors) / len(errors)


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("correction", [0, 1])
def test_it_is_the_formula(patches: tuple[Tensor, Tensor, Tensor], normalise: bool, correction: int) -> None:
    loss = masked_reconstruction(*patches, normalise=normalise, correction=correction)
    assert loss.item() == pytest.approx(slow(*patches, normalise, correction), rel=1e-7)


def test_gradients_reach_hidden_patches_only(patches: tuple[Tensor, Tensor, Tensor]) -> None:
    prediction, target, mask = patches
    prediction.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: masked_reconstruction(x, target, mask), prediction)
    masked_reconstruction(prediction, target, mask).backward()
    assert prediction.grad is not None
    assert (prediction.grad.abs().sum(2) > 0).equal(mask)


def test_a_normalised_target_forgets_brightness_and_contrast(patches: tuple[Tensor, Tensor, Tensor]) -> None:
    prediction, target, mask = patches
    moved = masked_reconstruction(prediction, 0.7 * target + 0.2, mask)
    torch.testing.assert_close(moved, masked_reconstruction(prediction, target, mask), rtol=1e-4, atol=0)


def test_nothing_hidden_or_nothing_to_see_stays_finite(patches: tuple[Tensor, Tensor, Tensor]) -> None:
    prediction, target, mask = patches
    assert masked_reconstruction(prediction, target, torch.zeros_like(mask)).item() == 0
    flat = masked_reconstruction(prediction, torch.full_like(target, 0.3), mask)
    assert flat.item() == pytest.approx(prediction[mask].square().mean().item(), rel=1e-6)


def test_half_precision_is_computed_in_single(patches: tuple[Tensor, Tensor, Tensor]) -> None:
    prediction, target, mask = (x.half() if x.is_floating_point() else x for x in patches)
    assert masked_reconstruction(prediction, target, mask).dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"target": torch.rand(N, L, P + 1)}, ValueError, "one shape"),
        ({"prediction": torch.rand(N, P), "target": torch.rand(N, P)}, ValueError, "one shape"),
        ({"mask": torch.ones(N, L)}, TypeError, "boolean"),
        ({"mask": torch.ones(N, L + 1, dtype=torch.bool)}, ValueError, "shape"),
        ({"target": torch.ones(N, L, P, dtype=torch.long)}, TypeError, "floating"),
        ({"correction": P}, ValueError, "correction"),
    ],
)
def test_bad_input_is_named(
    patches: tuple[Tensor, Tensor, Tensor], change: dict[str, object], error: type[Exception], message: str
) -> None:
    arguments = dict(zip(("prediction", "target", "mask"), patches, strict=True)) | change
    with pytest.raises(error, match=message):
        masked_reconstruction(**arguments)  # type: ignore[arg-type]


def test_nothing_asked_is_nothing_and_no_token_is_named() -> None:
    logits = torch.randn(2, 3, 5, requires_grad=True)
    nothing = masked_tokens(logits, torch.full((2, 3), -1))
    nothing.backward()
    assert nothing == 0
    assert logits.grad is not None
    assert not logits.grad.any()
    assert masked_tokens(logits[:, :0], torch.zeros(2, 0, dtype=torch.long)) == 0
    with pytest.raises(ValueError, match="labels must be below the 5 tokens, got 5"):
        masked_tokens(logits, torch.full((2, 3), 5))
    with pytest.raises(ValueError, match="labels must be at least -1, got -2"):
        masked_tokens(logits, torch.full((2, 3), -2))
