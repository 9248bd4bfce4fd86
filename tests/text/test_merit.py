"""MERIt: paths, exchanged names, the questions made of them, tables, and that questions can be learned."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar.reproductions.arms import build, train
from nearfar.text.asking import Renaming, asked
from nearfar.text.data import choices, documents, load
from nearfar.text.data.choices import Choices
from nearfar.text.data.documents import Documents
from nearfar.text.paths import Mention, Pool, Sentence, entities_of, exchanges, find_path, puzzles, say

NAMES = ["Ann", "Bob", "Cy", "Dan", "Eve", "Flo"]


def told(text: str, called: str = "abcdef") -> Sentence:
    """A sentence in which the letters are entities."""
    parts: list[str | Mention] = []
    for word in text.split():
        parts += [Mention(called.index(word), NAMES[called.index(word)]) if word in called else word, " "]
    return tuple(parts)


def test_paths_go_around_what_they_may_not_use() -> None:
    named = [[0, 1], [1, 2], [0, 2], [2, 3], [1]]
    assert find_path(named, (0, 2), frozenset([2])) == [(0, 0, 1), (1, 1, 2)]
    assert find_path(named, (0, 3), frozenset([2])) == [(0, 0, 1), (1, 1, 2), (3, 2, 3)]
    assert find_path(named, (0, 3), frozenset([3])) is None
    document = [told("a over b"), told("b over c"), told("rain"), told("a over c"), told("d over e")]
    found = {puzzle.ends: puzzle for puzzle in puzzles(document, 7)}
    assert set(found) == {(x, y) for x in range(3) for y in range(3) if x != y}
    puzzle = found[0, 2]
    assert [*map(say, puzzle.context)] == ["Ann over Bob ", "Bob over Cy "]
    assert puzzle.links == [(0, 1), (1, 2)]
    assert [*map(say, puzzle.right)] == ["Ann over Cy "]
    assert [*map(say, puzzle.rest)] == ["Dan over Eve "]
    assert puzzle.document == 7


def test_names_are_exchanged_in_every_mention() -> None:
    sentence = told("d saw e and d ran")

    def made(ends: tuple[int, int], given: Sentence, names: dict[int, str] | None = None, far: bool = False) -> set:
        names = names or {}
        called = tuple(names.get(e, NAMES[e]) for e in ends)
        return {*map(str.strip, exchanges(given, ends, names, called=called, foreign=far))}  # type: ignore[arg-type]

    assert made((0, 1), sentence) == {"Ann saw Bob and Ann ran", "Bob saw Ann and Bob ran"}
    assert made((3, 1), sentence) == {"Dan saw Bob and Dan ran", "Bob saw Dan and Bob ran"}
    assert made((3, 1), sentence, {4: "Zoe", 1: "Max"}) == {"Dan saw Max and Dan ran", "Max saw Dan and Max ran"}
    assert made((3, 1), sentence, {4: "Zoe"}, far=True) == {"Dan saw Bob and Dan ran", "Bob saw Dan and Bob ran"}
    three = made((0, 1), told("a met b with c"))
    assert three == {"Ann met Cy with Bob", "Bob met Ann with Cy", "Bob met Cy with Ann", "Cy met Ann with Bob",
                     "Cy met Bob with Ann"}  # fmt: skip
    assert made((0, 1), told("a met b")) == set()


def test_questions_hold_what_makes_them_hard() -> None:
    """Wrong options differ from the right one and speak of the two; a renamed puzzle has nothing of its old names."""
    data = documents.made(60)
    for number, puzzle in enumerate(data.puzzles):
        for share in (0.0, 1.0):
            rng = np.random.default_rng(number)
            by_option, by_context = asked(puzzle, data.pool, 3, Renaming(share), rng)
            assert len(by_option) == len(by_context) == 4
            context, answer = by_option[0]
            assert by_context[0] == (context, answer)
            assert all(pair[0] == context and pair[1] != answer for pair in by_option[1:])
            assert all(pair[1] == answer and pair[0] != context for pair in by_context[1:])
            parts = [p for s in puzzle.context for p in s if isinstance(p, Mention)]
            old = {p.entity: p.name for p in parts}
            ends = [old[e] for e in puzzle.ends]
            if share:
                assert not any(name in text for name in old.values() for pair in by_option for text in pair)
            else:
                assert all(name in pair[1] for name in ends for pair in by_option)
                assert context == " ".join(map(say, puzzle.context))
    alone = Pool([data.documents[0]])
    with pytest.raises(ValueError, match="no wrong option can be made"):
        asked(data.puzzles[0]._replace(rest=[], document=0), alone, 3, Renaming(0.0), np.random.default_rng(0))


def test_other_names_are_new_and_the_first_two_of_one_document() -> None:
    pool = Pool([[told("a b")], [told("c d")], [told("e f")]])
    found = pool.other_names(0, {"CY"}, 4, np.random.default_rng(3))
    assert not {"Ann", "Bob", "Cy"} & {*found}
    assert len(found) == len(set(found))
    strangers = pool.strangers(1, np.random.default_rng(0))
    assert {tuple(entities_of(next(strangers))) for _ in range(20)} == {(0, 1), (4, 5)}


def test_it_learns_questions_and_puzzles() -> None:
    data = choices.made(48)
    method = build("merit", data, 0, dropout=0.0)
    train("merit", method, data, 0, steps=16, batch_size=16)
    known = Choices(data.contexts, data.options, data.right)
    assert method.evaluate(known)["accuracy"] > 0.4
    unlabelled = documents.made(12)
    method = build("merit", unlabelled, 0, dropout=0.0)
    method.eval()
    adam = torch.optim.Adam(method.parameters(), 1e-3)
    values = []
    for _ in range(8):
        method.generator.manual_seed(0)
        views = method.views(unlabelled.batch(np.arange(4)))
        terms = method.loss(views)
        values.append(float(terms["choice"].detach()))
        adam.zero_grad()
        sum(terms.values()).backward()
        adam.step()
    assert values[-1] < values[0] - 0.02
    assert set(terms) == {"choice", "words"}
    assert len(views.right) == 8


def test_tables_are_read(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    sentences = ["Ann is over Bob.", "Bob is over Cy.", "Ann is over Cy."]
    entities = {"a": [[0, 0, 3], [2, 0, 3]], "b": [[0, 12, 15], [1, 0, 3]], "c": [[1, 12, 14], [2, 12, 14]]}
    rows: list[dict] = [{"sentences": sentences, "entities": entities} for _ in range(12)]
    rows += [{"sentences": sentences, "entities": {"a": [[0, 0, 99]]}}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.warns(UserWarning, match="1 of 13 documents"):
        found = load(path)
    assert isinstance(found, Documents)
    assert len(found) == 72
    assert say(found.documents[0][0]) == sentences[0]
    with pytest.raises(ValueError, match="needed are two documents"):
        Documents([found.documents[0]])
    questions = [{"context": "x y", "question": "why?", "options": ["p", "q"], "answer": n % 2} for n in range(12)]
    questions += [{"context": "x", "options": ["p", "q"], "answer": 2}]
    path.write_text("".join(json.dumps(row) + "\n" for row in questions))
    with pytest.warns(UserWarning, match="1 of 13 questions"):
        read = load(path)
    assert isinstance(read, Choices)
    assert read.batch(np.array([1])) == (["x y why?"], [["p", "q"]], [1], None, None)
    for wrong in ((["a"], [["p"]], [0]), (["a"], [["p", "q"]], [2]), (["a"], [], [])):
        with pytest.raises(ValueError, match="option"):
            Choices(*wrong)
    with pytest.raises(ValueError, match="wrong must be at least 1"):
        build("merit", read, 0, wrong=0)
    with pytest.raises(ValueError, match=r"renaming takes a share in \[0, 1\]"):
        Renaming(2.0)
