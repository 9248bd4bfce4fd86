"""Transforms of texts: what each does and leaves alone, inside the encoder, the report, and that views are learned."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar.cli import main
from nearfar.encoders import text_encoder
from nearfar.evaluation import edit_distance, word_error_rate
from nearfar.reproductions.arms import build, train
from nearfar.text.data import load
from nearfar.text.transforms import TRANSFORMS, Lexicon, changed, list_transforms, rewriting
from nearfar.text.transforms import states as inside
from nearfar.text.transforms.lexicon import small_thesaurus
from nearfar.text.transforms.report import transform_report

TEXT = "the doctor did not serve the small soup at 7 o'clock . the child was happy ."
SEEDS = range(40)


def made(name: str, text: str = TEXT, **settings) -> list[list[str]]:
    return [one.split() for one in changed([text] * len(SEEDS), name, SEEDS, **settings)]


@pytest.mark.parametrize("name", [n for n, t in TRANSFORMS.items() if not t.inside and not t.needs])
def test_every_transform_is_seeded_and_changes_something(name: str) -> None:
    found = made(name)
    assert found == made(name)
    assert any(words != TEXT.split() for words in found)
    assert all(changed([text], name, [0])[0].strip() for text in ("soup", "not", "is", "7", "a ."))
    assert changed(["", "  "], name, [0, 1]) == ["", ""]
    if TRANSFORMS[name].keeps and name not in ("crop", "reorder", "sentences"):
        # What is protected stays, and in its place among the others.
        assert all([w for w in words if w in ("not", "7")][:2] in (["not", "7"], ["not", "not"]) for words in found)


def test_words_are_kept_moved_or_replaced_as_said() -> None:
    same = Counter(TEXT.split())
    for name in ("swap", "reorder", "sentences"):
        assert all(Counter(words) == same for words in made(name))
    assert {" ".join(words) for words in made("sentences")} == {
        TEXT, "the child was happy . the doctor did not serve the small soup at 7 o'clock ."
    }  # fmt: skip
    for words in made("deletion", strength=1.0):
        assert words == ["not", "7"]
    assert all(len(w) == 1 for w in made("deletion", strength=1.0, lexicon=Lexicon(protected=frozenset())))
    assert {len(words) - len(TEXT.split()) for words in made("repetition", strength=0.1)} == {0, 1, 2}
    lengths = {len(words) for words in made("crop", "a b c d e f g h i j", strength=0.5)}
    assert lengths <= {5, 6, 7, 8, 9}
    assert len(lengths) > 2
    assert all(" ".join(words) in "a b c d e f g h i j" for words in made("crop", "a b c d e f g h i j"))
    for words in made("synonyms", strength=0.2):
        where = [n for n, (a, b) in enumerate(zip(words, TEXT.split(), strict=True)) if a != b]
        assert len(where) == 3
        assert all(words[n] in small_thesaurus()[TEXT.split()[n]] for n in where)
    assert all(edit_distance(a, TEXT.split()) == 1 for a in made("insertion", strength=0.01))
    lexicon = Lexicon(entities=frozenset({"Ann", "Bob"}))
    assert changed(["Ann met Cy"], "entities", [0], lexicon=lexicon) == ["Bob met Cy"]
    assert "broth" in small_thesaurus()["soup"]
    assert "served" not in small_thesaurus().get("serve", ())


def test_negation_says_the_opposite() -> None:
    say = [("he did not go", "he did go"), ("he was here", "he was not here"), ("birds sing", None), ("never", "yes")]
    for text, expected in say:
        assert changed([text], "negation", [0]) == [expected or f"it is not true that {text}"]
    lexicon = Lexicon(antonyms={"hot": "cold"})
    assert changed(["it is hot"], "negation", [0], lexicon=lexicon) == ["it is cold"]


def test_lists_and_errors() -> None:
    assert {t.name for t in list_transforms(keeps=False)} == {"entities", "negation"}
    assert len(list_transforms(level="character")) == 6
    with pytest.raises(ValueError, match="level must be one of character, word"):
        list_transforms(level="letter")
    with pytest.raises(ValueError, match="unknown transform 'x'; there are char-swap"):
        changed(["a"], "x", [0])
    with pytest.raises(ValueError, match=r"in \[0, 1\], got 2"):
        changed(["a"], "swap", [0], strength=2)
    back = rewriting("back", lambda text: text.upper())
    assert changed(["a b"], back, [0]) == ["A B"]
    with pytest.raises(ValueError, match="at least two texts, got 1"):
        transform_report(back, ["a"], text_encoder("tiny-bert"))


def test_states_are_cut_shuffled_and_disturbed_where_they_may_be() -> None:
    generator = torch.Generator().manual_seed(0)

    def draw(*sizes: int) -> torch.Tensor:
        return torch.rand(*sizes, generator=generator)

    x = torch.rand(50, 6, 8) + 1
    mask = torch.ones(50, 6).long()
    mask[:, 4:] = 0
    cut = inside.tokens(x, mask, draw, 0.5)
    assert ((cut == 0).all(2) | (cut == x).all(2)).all()
    assert (cut[:, 0] == x[:, 0]).all()
    assert 0.4 < (cut[:, 1:] == 0).float().mean() < 0.6
    features = inside.features(x, mask, draw, 0.25)
    gone = (features == 0).all(1)
    assert torch.equal(features, x.masked_fill(gone.unsqueeze(1), 0))
    assert 0.15 < gone.float().mean() < 0.35
    moved = inside.positions(x, mask, draw, 1.0)
    assert torch.equal(moved[:, 0], x[:, 0])
    assert torch.equal(moved[:, 4:].sort(1)[0], x[:, 4:].sort(1)[0])
    assert torch.equal(moved[:, 1:4, 0].sort(1)[0], x[:, 1:4, 0].sort(1)[0])
    assert not torch.equal(moved, x)
    disturbed = inside.noise(x, mask, draw, 0.1) - x
    assert float(disturbed.std()) == pytest.approx(0.1 * float(x.std()), rel=0.05)


def test_the_report_tells_what_is_kept_and_what_changes() -> None:
    texts = load(examples=60).sentences
    judge = text_encoder("tiny-bert")
    found = {
        name: transform_report(of, texts, judge, strength=share, says=lambda t: " not " in f" {t} ")
        for name, of, share in (
            ("none", "deletion", 0.0), ("little", "deletion", 0.1), ("much", "deletion", 0.6),
            ("dropout", "dropout", None), ("negation", "negation", None), ("cutoff", "token-cutoff", 0.3),
        )
    }  # fmt: skip
    assert found["none"]["preservation"] == pytest.approx(1, abs=1e-5)
    assert found["none"]["diversity"] == found["none"]["edits"] == found["dropout"]["diversity"] == 0
    assert 1 > found["little"]["preservation"] > found["much"]["preservation"]
    assert found["little"]["diversity"] < found["much"]["diversity"]
    assert found["little"]["hardness"] < found["much"]["hardness"]
    assert found["dropout"]["preservation"] < 1
    assert found["cutoff"]["preservation"] < 1
    assert found["negation"]["flipped"] > 0.5 > found["much"]["flipped"]
    assert judge.training


def test_it_learns_under_transforms(tmp_path: Path, capsys) -> None:
    data = load(examples=100)
    for settings in ({"second": "synonyms", "negative": "negation"}, {"first": "positions", "second": "token-cutoff"}):
        method = build("text-transformations", data, 0, **settings)
        batch = data.batch(np.arange(16))
        assert len(method.views(batch)) == 2 + ("negative" in settings)
        train("text-transformations", method, data, 0, steps=2, batch_size=16)
    method = build("text-transformations", data, 0, second="deletion", dropout=0.0)
    adam = torch.optim.Adam(method.parameters(), 5e-4)
    values = []
    for _ in range(6):
        method.generator.manual_seed(0)
        value = method.loss(method.views(batch))
        adam.zero_grad()
        value.backward()
        adam.step()
        values.append(float(value.detach()))
    assert values[-1] < values[0]
    with pytest.raises(ValueError, match="strength of a transform"):
        build("text-transformations", data, 0, strength=-1.0)
    path, out = tmp_path / "s.txt", tmp_path / "t.csv"
    path.write_text("\n".join(data.sentences[:20]))
    words = ["transforms", str(path), "--judge", "tiny-bert", "--only", "swap"]
    assert main([*words, "-o", str(out)]) == 0
    assert out.read_text().startswith("transform,preservation,diversity")
    assert main(words) == 0
    assert "swap" in capsys.readouterr().out
    assert main([*words, "-o", str(out)]) != 0


def test_edits() -> None:
    assert [edit_distance(a, b) for a, b in (("kitten", "sitting"), ("", "ab"), ("ab", "ab"))] == [3, 2, 0]
    assert word_error_rate(["a b c", "d"], ["a x c d", "d"]) == 0.5
    for wrong in ((["a"], []), ([""], ["a"])):
        with pytest.raises(ValueError, match="said"):
            word_error_rate(*wrong)
