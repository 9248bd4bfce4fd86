"""CoBIT: words and back, masks that hide the future, three losses, and what is written and drawn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from nearfar.encoders.tokens import PADDING, START
from nearfar.encoders.vocabulary import END, UNKNOWN, Vocabulary
from nearfar.multimodal.composed import composed
from nearfar.multimodal.data import CaptionedImages
from nearfar.multimodal.field import FIELD
from nearfar.multimodal.methods.cobit import CoBIT, Weights
from nearfar.multimodal.unicoders import Sizes
from nearfar.multimodal.writing import Told, write
from nearfar.reproductions.arms import build, train
from nearfar.system import UsageError
from nearfar.testing import a_resumed_run_is_the_whole_one, random_numbers_are_the_steps
from nearfar.training import Optimization

SMALL = Sizes(16, 1, 2, 24, 1, 2, patch=4, code_patch=4, codes=12, words=30, max_length=8)


@pytest.fixture(scope="module")
def colours() -> CaptionedImages:
    """240 pictures of two plain halves, each of four colours, with captions that name both."""
    rng = np.random.default_rng(0)
    shades = np.array([[220, 30, 30], [30, 200, 40], [40, 60, 220], [240, 240, 240]])
    names = ("red", "green", "blue", "white")
    kinds = rng.integers(4, size=(240, 2))
    images = np.repeat(shades[kinds].astype(np.uint8), 4, 1)[:, None].repeat(8, 1)
    captions = [f"{names[left]} beside {names[right]}" for left, right in kinds]
    _, first = np.unique(kinds, axis=0, return_index=True)
    gallery = CaptionedImages(images[first], [captions[row] for row in first], name="gallery", gallery=True)
    return CaptionedImages(images, captions, splits={"gallery": gallery})


def small(colours: CaptionedImages, **changes: Any) -> CoBIT:
    torch.manual_seed(0)
    method = CoBIT(**{"projection_dim": 8, "sizes": SMALL, **changes})
    method.begin(colours)
    return method


def views_of(method: CoBIT, colours: CaptionedImages, rows: np.ndarray) -> Any:
    method.seed_step(0, 0)
    with torch.no_grad():
        return method.views(colours.batch(rows))


def test_words_are_numbers_and_numbers_words() -> None:
    words = Vocabulary(8, 6)
    words.fit(["A cat, a dog", "a cat", "the cat", "x" * 40])
    tokens = words(["a cat, a bird and a cat", "cat"])
    assert tokens.input_ids.shape == (2, 6)
    assert tokens.input_ids[1].tolist()[2:] == [END, PADDING, PADDING, PADDING]
    assert tokens.input_ids[0, 0] == START
    assert tokens.attention_mask.tolist()[1] == [1, 1, 1, 0, 0, 0]
    assert words.words[4:] == ["a", "cat", ",", "dog"]
    assert words.texts(tokens.input_ids) == ["a cat, a", "cat"]
    assert int(words(["bird"]).input_ids[0, 1]) == UNKNOWN
    assert words.texts(words(["a bird"]).input_ids) == ["a?"]
    other = Vocabulary(8, 6)
    assert not any(other.words)
    other.load_state_dict(words.state_dict())
    assert other.words == words.words
    with pytest.raises(ValueError, match="size must be above 4 and max_length at least 3, got 4 and 6"):
        Vocabulary(4, 6)


def test_nothing_is_known_of_what_comes_later(colours: CaptionedImages) -> None:
    network = small(colours).eval().encoder
    batch = colours.batch(np.arange(4))
    tokens, codes = network.vocabulary(batch.captions), network.tokenizer.codes(batch.images)
    with torch.no_grad():
        image, (text, padding) = network.encode_images(batch.images), network.encode_text(tokens)
        for scores, sequence, width in (
            (lambda x: network.next_words(x, image), tokens.input_ids, SMALL.words),
            (lambda x: network.next_codes(x, text, padding)[:, 1:], codes[:, :-1], SMALL.codes),
        ):
            changed = sequence.clone()
            changed[:, 2:] = (changed[:, 2:] + 1) % width
            before, after = scores(sequence), scores(changed)
            torch.testing.assert_close(before[:, :2], after[:, :2])
            assert not torch.allclose(before[:, 2:], after[:, 2:])
            assert not torch.allclose(before, scores(sequence.flip(0))[:, : before.shape[1]])
        longer = network.vocabulary([batch.captions[0], "red red red red red red"])
        torch.testing.assert_close(
            network.of_text(network.encode_text(longer)[0])[:1], network.embed_text(batch.captions[:1])
        )


def test_the_loss_is_three_parts_and_all_are_learned(colours: CaptionedImages) -> None:
    method = small(colours, blind=0.5)
    views = views_of(method, colours, np.arange(8))
    assert 0 < int(views.blind.sum()) < 8
    terms = method.loss(views)
    assert set(terms) == {"contrast", "caption", "picture"}
    torch.stack([*terms.values()]).sum().backward()
    assert not [name for name, p in method.named_parameters() if p.grad is None]
    with torch.no_grad():
        ids = views.tokens.input_ids
        scores = method.encoder.next_words(ids[:, :-1], method.encoder.encode_images(views.images))
        slow = [
            F.cross_entropy(scores[i, t], ids[i, t + 1])
            for i in range(8)
            for t in range(ids.shape[1] - 1)
            if ids[i, t + 1] != PADDING
        ]
        torch.testing.assert_close(terms["caption"].detach(), torch.stack(slow).mean())
    alone = small(colours, weights=Weights(1, 0, 0))
    assert set(alone.loss(views_of(alone, colours, np.arange(4)))) == {"contrast"}
    blind = small(colours, blind=0.0, sizes=Sizes(**{**vars(SMALL), "shared": False}))
    assert any("second" in name for name, _ in blind.named_parameters())
    assert not any("second" in name for name, _ in method.named_parameters())


def test_it_finds_writes_and_draws(colours: CaptionedImages, tmp_path: Path) -> None:
    fast = Optimization("adamw", lr=8e-3, weight_decay=0.0, warmup=0.1)
    method = build("cobit", colours, 0, sizes=SMALL, projection_dim=16, optimization=fast, weights=Weights(1, 2, 1))
    assert isinstance(method, CoBIT)
    train("cobit", method, colours, 0, steps=50, batch_size=24)
    scores = method.evaluate(colours)
    assert scores["R@1 image to text gallery"] > 0.25
    assert scores["word nll gallery"] < 0.6
    assert scores.better["code nll gallery"] == "lower"
    made = [*method.generate(colours, seed=1)]
    assert np.mean([each.said == each.given for each in made]) > 0.4
    again = [*method.generate(colours, seed=1, batch_size=5)]
    assert all(
        one.said == two.said and np.array_equal(one.drawn, two.drawn) for one, two in zip(made, again, strict=True)
    )
    gallery = colours.splits()["gallery"]
    assert isinstance(gallery, CaptionedImages)
    drawn = np.stack([each.drawn for each in made]).astype(float)
    own, others = np.abs(drawn - gallery.images), np.abs(drawn - np.roll(gallery.images, 1, 0))
    assert own.mean() < 0.7 * others.mean()
    with method.frozen():
        asked = composed(method, gallery.batch(np.arange(3)).images, ["red beside blue"] * 3)
    assert asked.shape == (3, 16)
    assert FIELD.write is not None
    paths = FIELD.write(iter(made[:2]), tmp_path / "made")
    lines = [json.loads(line) for line in paths[-1].read_text().splitlines()]
    assert [line["given"] for line in lines] == gallery.captions[:2]
    assert np.array_equal(np.asarray(Image.open(tmp_path / "made" / lines[1]["drawn"])), made[1].drawn)


def test_promises_hold(colours: CaptionedImages) -> None:
    few = CaptionedImages(colours.images[:16], colours.captions[:16])
    random_numbers_are_the_steps(CoBIT, few, {"sizes": SMALL, "projection_dim": 8}, 8)
    a_resumed_run_is_the_whole_one(CoBIT, few, {"sizes": SMALL, "projection_dim": 8}, 8)


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="weights must be 0 or above, and one of them above"):
        Weights(0, 0, 0)
    with pytest.raises(ValueError, match=r"blind must be in \[0, 1\), got 1"):
        CoBIT(sizes=SMALL, blind=1.0)
    (tmp_path / "file").write_text("")

    def nothing() -> Iterator[Told]:
        yield from ()

    with pytest.raises(UsageError, match="is written into a folder, and "):
        write(nothing(), tmp_path / "file")
