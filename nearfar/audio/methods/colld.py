"""CoLLD: contrastive layer-to-layer distillation of speech encoders."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nearfar.audio.data.sounds import SoundBatch
from nearfar.audio.hiding import draw_distractors, span_mask
from nearfar.audio.method import WindowedMethod
from nearfar.encoders.mel import Mel
from nearfar.encoders.sound import SoundEncoder
from nearfar.encoders.speech import FrameTransformer, PretrainedSpeech, pretrained_speech, speech_network
from nearfar.losses import masked_frame_contrast
from nearfar.training import Optimization
from nearfar.training.steps import Phase

SPEECH = Mel(bands=80, low=0.0, high=8000.0, edges="hertz", power=2, centred=True, floor=1e-6)
"""Spectrograms that the student hears."""


class Hidden(NamedTuple):
    """Waves (N, T), which steps of them are hidden (N, steps), and what these are told from (N, steps, K).

    ``targets``: of each layer of the student, what the teacher has there (N, steps, D); none while the teacher learns.
    """

    waves: Tensor
    mask: Tensor
    distractors: Tensor
    targets: list[Tensor]


class CoLLD(WindowedMethod):
    """Chang et al., 2024, ICASSP, arXiv 2309.07707.

    A small encoder hears sounds of which stretches are hidden, and each of its layers finds what the layer of a large
    encoder that belongs to it says there, among what it says of other hidden steps of the same sound. The large one
    hears everything and does not change; the small one is kept. Layer l of S learns from layer l T / S of T, rounded,
    through a linear map of its own. Where both have one width, the small one starts from those layers.

    No code was released: lengths of what is hidden, distractors and temperature are those of wav2vec 2.0, and which
    layers belong together is our reading. The paper's teacher is w2v-BERT. A teacher named here has no weights yet and
    learns first, for ``teacher_share`` of the run, to find the hidden frames of the spectrogram itself.

    Args:
        encoder: the student, a name that :func:`nearfar.encoders.speech.speech_network` knows or such a network.
        teacher: the same, or ``hf:<model>`` for a pretrained transformers model of speech, which needs sounds at
            16 kHz; a module is taken as trained.
        rate: samples a second; taken from the data when not given.
        mel: what spectrograms are made with; two hops are one step, which is 20 ms for pretrained teachers.
        seconds: length of a stretch; shorter sounds are repeated.
        temperature: divides the cosines, above 0.
        distractors: drawn for each hidden step, at least 1.
        mask_chance: chance of a step to begin a hidden stretch, in (0, 1).
        mask_length: steps of a hidden stretch, at least 1.
        masked: whether the student's input is hidden; otherwise it hears everything and predicts the same steps.
        teacher_share: share of the run in which a teacher without weights learns, in [0, 1).
        optimization: Adam with warm-up and a linear end.
    """

    takes = SoundBatch
    encoder: SoundEncoder

    def __init__(
        self,
        encoder: str | FrameTransformer = "small-speech",
        teacher: str | nn.Module = "base-speech",
        *,
        rate: int | None = None,
        mel: Mel = SPEECH,
        seconds: float = 10.0,
        temperature: float = 0.1,
        distractors: int = 100,
        mask_chance: float = 0.065,
        mask_length: int = 10,
        masked: bool = True,
        teacher_share: float = 0.5,
        optimization: Optimization = Optimization("adam", lr=5e-4, weight_decay=0.0, warmup=0.1, schedule="linear"),
    ) -> None:
        super().__init__(rate, seconds, fill="repeat", optimization=optimization)
        if not 0 < mask_chance < 1 or mask_length < 1 or distractors < 1:
            raise ValueError(
                f"mask_chance must lie in (0, 1), mask_length and distractors be at least 1; "
                f"got {mask_chance}, {mask_length} and {distractors}"
            )
        if not 0 <= teacher_share < 1:
            raise ValueError(f"teacher_share must lie in [0, 1), got {teacher_share}")
        student = speech_network(encoder, mel.bands) if isinstance(encoder, str) else encoder
        self.encoder = SoundEncoder(student, mel, self.rate)
        untrained = isinstance(teacher, str) and not teacher.startswith("hf:")
        if isinstance(teacher, str):
            named = speech_network(teacher, mel.bands) if untrained else pretrained_speech(teacher.removeprefix("hf:"))
            self.teacher: nn.Module = named
        else:
            self.teacher = teacher.requires_grad_(False)
        if isinstance(self.teacher, PretrainedSpeech):
            self.teacher.requires_grad_(False)
            if self.rate != 16000:
                raise ValueError(f"pretrained teachers hear 16,000 samples a second, got a rate of {self.rate}")
        if untrained and teacher_share:
            self.phases = (Phase("teacher", teacher_share), Phase("student"))
            self.guess = nn.Linear(self.teacher.out_features, 2 * mel.bands)  # type: ignore[arg-type]
        width, depth = int(self.teacher.out_features), len(student.layers)  # type: ignore[arg-type]
        self.maps = nn.ModuleList(nn.Linear(student.out_features, width) for _ in range(depth))
        self.layer_of = [round((layer + 1) * _depth(self.teacher) / depth) for layer in range(depth)]
        self.temperature, self.distractors, self.masked = temperature, distractors, masked
        self.mask_chance, self.mask_length = mask_chance, mask_length

    @property
    def student(self) -> FrameTransformer:
        found = self.encoder.network
        assert isinstance(found, FrameTransformer)
        return found

    def begin(self, data: Any) -> None:
        if not self.phases:
            self._start_student()

    def begin_phase(self, phase: str, data: Any) -> None:
        if phase == "student":
            self._start_student()

    @torch.no_grad()
    def _start_student(self) -> None:
        """From the teacher's layers, where they fit."""
        teacher, student = self.teacher, self.student
        if not isinstance(teacher, FrameTransformer) or teacher.out_features != student.out_features:
            return
        student.front.load_state_dict(teacher.front.state_dict())
        for layer, number in zip(student.layers, self.layer_of, strict=True):
            layer.load_state_dict(teacher.layers[number - 1].state_dict())

    def views(self, batch: SoundBatch) -> Hidden:
        waves = self.segments(batch, 1)[0]
        steps = self.student.steps(self.encoder.front.frames(waves.shape[1]))
        mask = span_mask(len(waves), steps, self.mask_chance, self.mask_length, self.generator, waves.device)
        drawn = draw_distractors(mask, self.distractors, self.generator)
        if self.phase == "teacher":
            return Hidden(waves, mask, drawn, [])
        self.teacher.eval()
        heard = waves if isinstance(self.teacher, PretrainedSpeech) else self.encoder.front(waves)
        states = self.teacher.hidden(heard)  # type: ignore[operator]
        return Hidden(waves, mask, drawn, [_long_as(states[number], steps) for number in self.layer_of])

    def loss(self, views: Hidden) -> Tensor:
        with torch.no_grad():
            spectrogram = self.encoder.front(views.waves)
        if self.phase == "teacher":
            assert isinstance(self.teacher, FrameTransformer)
            pairs = _long_as(
                self.teacher.standard(spectrogram.transpose(1, 2)).transpose(1, 2), 2 * views.mask.shape[1]
            )
            made = self.guess(self.teacher.last(self.teacher.hidden(spectrogram, views.mask)[-1]))
            return self.compared(made, pairs.unflatten(1, (-1, 2)).flatten(2), views)
        states = self.student.hidden(spectrogram, views.mask if self.masked else None)[1:]
        lost = [
            self.compared(to(state), target, views)
            for to, state, target in zip(self.maps, states, views.targets, strict=True)
        ]
        return torch.stack(lost).mean()

    def compared(self, predicted: Tensor, targets: Tensor, views: Hidden) -> Tensor:
        """The loss of one layer."""
        return masked_frame_contrast(predicted, targets, views.mask, views.distractors, temperature=self.temperature)


def _depth(teacher: nn.Module) -> int:
    return teacher.depth if isinstance(teacher, PretrainedSpeech) else len(teacher.layers)  # type: ignore[arg-type, return-value]


def _long_as(states: Tensor, steps: int) -> Tensor:
    """(N, steps, D): front ends of other networks may count a step more or less."""
    missing = steps - states.shape[1]
    return states[:, :steps] if missing <= 0 else torch.cat([states, states[:, -1:].expand(-1, missing, -1)], 1)
