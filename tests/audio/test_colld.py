"""CoLLD: what is hidden and what it is told from, its phases, pretrained teachers, and learning from layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nearfar.audio.data import Sounds
from nearfar.audio.data.generated import words
from nearfar.audio.evaluation import evaluate
from nearfar.audio.hiding import draw_distractors, span_mask
from nearfar.audio.methods.colld import CoLLD
from nearfar.encoders.mel import Mel
from nearfar.encoders.speech import FrameTransformer, PretrainedSpeech
from nearfar.losses import masked_frame_contrast
from nearfar.testing import check_method
from nearfar.training import Optimization, Training, fit

MEL = Mel(bands=24, hop=0.02)


def network(layers: int, width: int = 16) -> FrameTransformer:
    return FrameTransformer(24, layers=layers, width=width, heads=2)


def small(**changes: Any) -> dict[str, Any]:
    torch.manual_seed(0)
    plain = {"mel": MEL, "rate": 8000, "seconds": 0.5, "distractors": 6, "mask_length": 3, "mask_chance": 0.2}
    return {"encoder": network(2), "teacher": network(4), **plain, **changes}


@pytest.fixture(scope="module")
def data() -> Sounds:
    return words(4, held_out=2)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_hidden_stretches_are_as_long_as_asked_for() -> None:
    mask = span_mask(400, 50, 0.065, 10, generator(), torch.device("cpu"))
    assert mask.any(1).all()
    assert 0.4 < mask.float().mean() < 0.6  # about half of the frames in wav2vec 2.0
    one = span_mask(64, 50, 1e-9, 10, generator(), torch.device("cpu"))
    lengths = one.sum(1)
    assert lengths.max() == 10
    assert ((one.int().diff(dim=1) == -1).sum(1) <= 1).all()
    assert (lengths == 10).float().mean() > 0.6  # the others reach the end


def test_distractors_are_other_hidden_steps_of_the_same_sound() -> None:
    mask = span_mask(32, 20, 0.1, 3, generator(1), torch.device("cpu"))
    drawn = draw_distractors(mask, 200, generator())
    steps = torch.arange(20)
    for row in range(32):
        hidden = steps[mask[row]]
        assert mask[row][drawn[row]].all()
        for step in hidden.tolist():
            if len(hidden) > 1:
                assert set(drawn[row, step].tolist()) == set(hidden.tolist()) - {step}
    alone = draw_distractors(torch.eye(3, 5, dtype=torch.bool), 4, generator())
    assert (alone[torch.arange(3), torch.arange(3)] == torch.arange(3)[:, None]).all()


def test_the_loss_leaves_out_the_frame_itself_and_what_is_the_same() -> None:
    y = torch.randn(1, 4, 6, generator=generator(), dtype=torch.float64)
    y[0, 3] = 2 * y[0, 0]  # silence twice
    mask = torch.ones(1, 4, dtype=torch.bool)
    p = torch.randn(1, 4, 6, generator=generator(1), dtype=torch.float64)
    only_same = torch.tensor([3, 1, 2, 0]).view(1, 4, 1)
    assert masked_frame_contrast(p, y, mask, only_same) == 0
    with_one = torch.tensor([[3, 0], [1, 0], [2, 2], [0, 3]]).view(1, 4, 2)
    scores = torch.nn.functional.cosine_similarity(p[0, 1], y[0, [1, 0]]) / 0.1
    expected = -torch.log_softmax(scores, 0)[0]
    torch.testing.assert_close(masked_frame_contrast(p, y, mask, with_one), expected)
    assert masked_frame_contrast(y, y, mask, torch.tensor([1, 2, 1, 1]).view(1, 4, 1)) < 0.01
    with pytest.raises(ValueError, match="one shape"):
        masked_frame_contrast(p, y[:, :3], mask, with_one)
    with pytest.raises(TypeError, match="mask must be a boolean tensor"):
        masked_frame_contrast(p, y, mask.float(), with_one)
    with pytest.raises(ValueError, match=r"K at least 1; got \(1, 4\)"):
        masked_frame_contrast(p, y, mask, with_one[..., 0])


def test_layers_belong_together_and_the_student_starts_from_them(data: Sounds) -> None:
    method = CoLLD(**small())
    assert method.layer_of == [2, 4]
    assert CoLLD(**small(encoder=network(3), teacher=network(7))).layer_of == [2, 5, 7]
    method.begin(data)
    for mine, number in zip(method.student.layers, method.layer_of, strict=True):
        theirs = method.teacher.layers[number - 1]
        for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(a, b)
    assert not any(p.requires_grad for p in method.teacher.parameters())
    wider = CoLLD(**small(teacher=network(4, 32)))
    before = [p.clone() for p in wider.student.parameters()]
    wider.begin(data)
    assert all(torch.equal(a, b) for a, b in zip(before, wider.student.parameters(), strict=True))


def test_the_teacher_hears_everything_and_the_student_what_is_left(data: Sounds) -> None:
    batch = data.batch(np.arange(4))
    method = CoLLD(**small())
    views = method.views(batch)
    with torch.no_grad():
        whole = method.teacher.hidden(method.encoder.front(views.waves))
        torch.testing.assert_close(views.targets, [whole[2], whole[4]])
        front = method.student.hidden(method.encoder.front(views.waves), views.mask)[0]
    assert (front[views.mask] == method.student.mask_token).all()
    method.loss(views).backward()
    assert method.student.mask_token.grad is not None
    open_ears = CoLLD(**small(masked=False))
    open_ears.loss(open_ears.views(batch)).backward()
    assert open_ears.student.mask_token.grad is None


def test_a_teacher_without_weights_learns_first(data: Sounds, monkeypatch: pytest.MonkeyPatch) -> None:
    method = CoLLD(**small(teacher="tiny-speech"))
    assert [phase.name for phase in method.phases] == ["teacher", "student"]
    views = {}
    for phase in ("teacher", "student"):
        monkeypatch.setattr(CoLLD, "phase", phase)
        with torch.no_grad():
            views[phase] = method.views(data.batch(np.arange(4)))
        method.zero_grad()
        method.loss(views[phase]).backward()
        learned = {name for name in ("teacher", "encoder") if _moves(getattr(method, name))}
        assert learned == {"teacher" if phase == "teacher" else "encoder"}
    assert not views["teacher"].targets


def _moves(network: torch.nn.Module) -> bool:
    return any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_pretrained_models_of_speech_are_teachers(data: Sounds) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )
    teacher = PretrainedSpeech(transformers.Wav2Vec2Model(config))
    method = CoLLD(**small(teacher=teacher, rate=16000, mel=Mel(bands=24, hop=0.01)))
    views = method.views(data.batch(np.arange(3)))
    assert [t.shape for t in views.targets] == [(3, 24, 16)] * 2
    assert torch.isfinite(method.loss(views))
    with pytest.raises(ValueError, match="pretrained teachers hear 16,000 samples a second, got a rate of 8000"):
        CoLLD(**small(teacher=teacher))


def test_a_student_learns_its_layers_and_does_not_collapse(data: Sounds) -> None:
    method = CoLLD(**small())
    views = method.views(data.batch(np.arange(24)))
    method.begin(data)
    before = float(method.loss(views).detach())
    method.optimization = Optimization("adam", lr=3e-3, weight_decay=0.0, schedule="constant")
    fit(method, data, Training(steps=15, batch_size=16, monitor_every=-1, seed=0), progress=False)
    assert float(method.loss(views).detach()) < before - 0.2
    assert evaluate(method, data)["effective_rank"] > 2


def test_the_promises_of_the_house(data: Sounds) -> None:
    check_method(CoLLD, data.subset(np.arange(16)), {**small(), "encoder": "tiny-speech", "teacher": "tiny-speech"})


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"mask_chance": 1.0}, r"mask_chance must lie in \(0, 1\)"),
        ({"teacher_share": 1.0}, r"teacher_share must lie in \[0, 1\), got 1.0"),
        ({"encoder": "huge"}, "unknown network of speech 'huge'; accepted are tiny-speech, small-speech, base-speech"),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        CoLLD(**small(**wrong))
