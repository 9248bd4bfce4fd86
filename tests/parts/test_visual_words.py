"""Bags of visual words: against the definition, position by position, and a vocabulary that turns over."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nearfar.losses import bag_divergence
from nearfar.parts import VisualWords, WordWeights
from nearfar.parts.visual_words import perplexity

N, C, K, SIDE = 2, 3, 5, 5


def words(**settings: object) -> VisualWords:
    torch.manual_seed(0)
    return VisualWords(K, C, **settings).double()  # type: ignore[arg-type]


@pytest.mark.parametrize("pool", ["max", "avg"])
def test_bags_are_the_pooled_codes_of_inner_positions(pool: str) -> None:
    vocabulary = words(pool=pool, inv_delta=3.0)
    maps = torch.rand(N, C, SIDE, SIDE, dtype=torch.float64)
    found = vocabulary.bags(vocabulary.distances(maps))
    for image in range(N):
        codes = []
        for y in range(1, SIDE - 1):
            for x in range(1, SIDE - 1):
                d = [float(((maps[image, :, y, x] - word) ** 2).sum()) for word in vocabulary.words]
                scores = [math.exp(-3.0 / 0.5 * value) for value in d]
                codes.append([score / sum(scores) for score in scores])
        columns = list(zip(*codes, strict=True))
        bag = [max(column) if pool == "max" else sum(column) / len(column) for column in columns]
        torch.testing.assert_close(found[image].tolist(), [value / sum(bag) for value in bag])


def test_the_border_does_not_count() -> None:
    vocabulary = words()
    maps = torch.rand(N, C, SIDE, SIDE, dtype=torch.float64)
    other = torch.rand_like(maps)
    other[:, :, 1:-1, 1:-1] = maps[:, :, 1:-1, 1:-1]
    assert torch.equal(vocabulary.distances(maps), vocabulary.distances(other))
    torch.testing.assert_close(vocabulary.candidates(maps), maps[:, :, 1:-1, 1:-1].mean((2, 3)))
    with pytest.raises(ValueError, match="at least 3x3 cells"):
        vocabulary.distances(maps[:, :, :2])


def test_sharpness_follows_the_running_distance() -> None:
    vocabulary = words()
    vocabulary.track(torch.tensor(1.5, dtype=torch.float64))
    assert vocabulary.distance.item() == pytest.approx(0.51)
    distances = vocabulary.distances(torch.rand(N, C, SIDE, SIDE, dtype=torch.float64))
    before = vocabulary.bags(distances)
    vocabulary.distance.mul_(4)
    torch.testing.assert_close(vocabulary.bags(4 * distances), before)
    assert perplexity(vocabulary.bags(distances)) > perplexity(before)


def test_candidates_are_means_of_windows_of_one_image_each() -> None:
    vocabulary = words()
    maps = torch.rand(50, C, 6, 6, dtype=torch.float64)
    found = vocabulary.candidates(maps, torch.Generator().manual_seed(0))
    places = set()
    for image, row in zip(maps, found, strict=True):
        means = {
            (y, x): image[:, y : y + 3, x : x + 3].mean((1, 2)) for y in range(1, 3) for x in range(1, 3)
        }  # windows inside the border of one cell
        places |= {place for place, mean in means.items() if torch.allclose(mean, row)}
    assert len(places) == 4
    small = vocabulary.candidates(torch.rand(2, C, 4, 4, dtype=torch.float64))  # 2x2 inner cells: one window
    assert small.shape == (2, C)


def test_the_oldest_words_go_first() -> None:
    vocabulary = words()
    start = vocabulary.words.clone()
    rows = torch.arange(12.0, dtype=torch.float64).view(4, 3)
    vocabulary.enqueue(rows)
    assert torch.equal(vocabulary.words[:4], rows)
    assert torch.equal(vocabulary.words[4], start[4])
    vocabulary.enqueue(rows[:2])
    assert torch.equal(vocabulary.words, torch.cat([rows[1:2], rows[1:4], rows[:1]]))
    with pytest.raises(ValueError, match=r"shape \(N, 3\), got \(2, 4\)"):
        vocabulary.enqueue(torch.zeros(2, 4))


def test_perplexity_counts_words_in_use() -> None:
    assert perplexity(torch.eye(4)).item() == pytest.approx(4)
    assert perplexity(torch.eye(4)[:1]).item() == pytest.approx(1)


def test_word_weights_have_length_kappa_and_ignore_the_length_of_words() -> None:
    torch.manual_seed(0)
    head = WordWeights(C, 6, kappa=5.0)
    given = torch.rand(K, C)
    found = head(given)
    assert found.shape == (K, 6)
    torch.testing.assert_close(found.norm(dim=1), torch.full((K,), 5.0))
    torch.testing.assert_close(head(3 * given), found)
    assert isinstance(head[1], nn.BatchNorm1d)


def test_the_divergence_is_the_formula_and_nought_where_right() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, K, generator=generator, dtype=torch.float64, requires_grad=True)
    bags = torch.rand(4, K, generator=generator, dtype=torch.float64)
    bags[0, 0] = 0
    bags = bags / bags.sum(1, keepdim=True)
    slow = 0.0
    for row, bag in zip(logits.detach().softmax(1).tolist(), bags.tolist(), strict=True):
        slow += sum(b * (math.log(b) - math.log(p)) for b, p in zip(bag, row, strict=True) if b > 0) / 4
    assert bag_divergence(logits, bags).item() == pytest.approx(slow)
    assert torch.autograd.gradcheck(lambda x: bag_divergence(x, bags), logits)
    assert bag_divergence(logits, logits.detach().softmax(1)).abs() < 1e-12
    assert bag_divergence(logits, bags.requires_grad_()).requires_grad
    bag_divergence(logits.detach().requires_grad_(), bags).backward()
    assert bags.grad is None
    with pytest.raises(ValueError, match="shapes must be equal"):
        bag_divergence(logits, bags[:2])


@pytest.mark.parametrize(
    ("settings", "message"), [({"inv_delta": 0}, "inv_delta must be above 0"), ({"pool": "sum"}, "max, avg")]
)
def test_bad_settings_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        words(**settings)
    with pytest.raises(ValueError, match="count=0"):
        VisualWords(0, C)
    with pytest.raises(ValueError, match="kappa"):
        WordWeights(C, 4, kappa=0)
