"""The grammar: exact meanings, varied wording, and a difficulty between trivial and hopeless."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.feature_extraction.text import TfidfVectorizer

from nearfar.text.data import grammar
from nearfar.text.data.grammar import (
    SLOTS,
    TOPICS,
    grammar_corpus,
    intents,
    similarity_pairs,
    slot_similarity,
    topics_of,
    triplets,
    verbalize,
)

POLARITY = SLOTS.index("polarity")
NEGATIONS = {"not", "never", "failed"}


@pytest.mark.parametrize("make", [grammar_corpus, intents, similarity_pairs, triplets])
def test_equal_seeds_give_equal_data(make):
    first, again, other = make(60, seed=3), make(60, seed=3), make(60, seed=4)
    for ours, same in zip(first, again, strict=True):
        assert np.array_equal(ours, same)
    assert first[0] != other[0]
    assert all(len(column) == 60 for column in first)


def test_sentences_are_short_varied_and_almost_never_repeated():
    sentences, slots = grammar_corpus(5000, seed=0)
    lengths = [len(sentence.split()) for sentence in sentences]
    assert min(lengths) >= 5
    assert max(lengths) <= 26
    assert 8 < np.mean(lengths) < 14
    assert len(set(sentences)) > 4980
    assert not set(sentences) & set(grammar_corpus(5000, seed=1).sentences[:2000])
    assert slots.shape == (5000, len(SLOTS))
    words = {word for sentence in sentences for word in sentence.split()}
    assert 500 < len(words) < 1000
    assert all(sentence == sentence.lower() and "  " not in sentence for sentence in sentences)


def test_negation_is_said_exactly_when_it_is_meant():
    sentences, slots = grammar_corpus(2000, seed=1)
    said = np.array([bool(NEGATIONS & set(sentence.split())) for sentence in sentences])
    assert np.array_equal(said, slots[:, POLARITY] == 0)
    assert 0.2 < said.mean() < 0.3


def test_one_meaning_has_many_wordings():
    meaning = grammar_corpus(1, seed=5).slots
    wordings = {verbalize(meaning, seed)[0] for seed in range(60)}
    assert len(wordings) > 40
    assert any(" by " in wording for wording in wordings)
    assert any(wording.startswith("it was") or " it was " in wording for wording in wordings)


def test_every_concept_of_every_slot_is_used():
    slots = grammar_corpus(6000, seed=2).slots
    for column, size in enumerate((12, 64, 96, 10, 8, 12, 10, 2)):
        assert set(slots[:, column]) - {-1} == set(range(size))


def test_gold_is_five_times_the_share_of_equal_slots():
    first = np.array([[0, 0, 0, 1, -1, -1, 2, 1]] * 4)
    second = first.copy()
    second[1, POLARITY] = 0
    second[2, 3] = -1
    second[3, 4] = 5
    assert np.allclose(slot_similarity(first, second), [1, 5 / 6, 5 / 6, 6 / 7])


def test_pairs_span_the_scale_and_paraphrases_score_five():
    first, second, gold = similarity_pairs(3000, seed=0)
    assert gold.min() == 0
    assert gold.max() == 5
    assert (np.histogram(gold, 5, (0, 5))[0] > 300).all()
    same = gold == 5
    negated = np.array([[bool(NEGATIONS & set(s.split())) for s in side] for side in (first, second)])
    assert np.array_equal(negated[0][same], negated[1][same])
    overlap = [
        len(set(a.split()) & set(b.split())) / len(set(a.split()) | set(b.split()))
        for a, b, paraphrase in zip(first, second, same, strict=True)
        if paraphrase
    ]
    assert 0.2 < np.mean(overlap) < 0.7


def test_changed_slots_differ_and_the_others_do_not(monkeypatch):
    spoken = []
    say = grammar._verbalize
    monkeypatch.setattr(grammar, "_verbalize", lambda slots, rng: spoken.append(slots) or say(slots, rng))
    gold = similarity_pairs(2000, seed=3).gold
    first, second = spoken
    assert np.allclose(gold, 5 * slot_similarity(first, second))
    changed = (first != second).sum(axis=1)
    assert (np.bincount(changed, minlength=9) > 100).all()
    assert (topics_of(second) == second[:, 2] // 6).all()

    spoken.clear()
    triplets(2000, seed=3)
    anchor, entailed, contradiction = spoken
    assert ((anchor != contradiction).sum(axis=1) == 1).all()
    flipped = anchor[:, POLARITY] != contradiction[:, POLARITY]
    assert 0.45 < flipped.mean() < 0.55
    dropped = anchor != entailed
    assert (entailed[dropped] == -1).all()
    assert dropped.sum(axis=1).max() == 1
    assert dropped[anchor[:, POLARITY] == 0].sum() == 0
    assert 0.2 < dropped.any(axis=1).mean() < 0.5


def test_intents_are_balanced_and_topics_can_be_held_out():
    sentences, labels = intents(805, seed=0)
    counts = np.bincount(labels, minlength=len(TOPICS))
    assert counts.max() - counts.min() <= 1
    assert len(sentences) == 805
    kept = [0, 3, 15]
    assert set(intents(50, topics=kept)[1]) == set(kept)
    assert set(topics_of(grammar_corpus(50, topics=kept).slots)) == set(kept)
    # Sentences of one topic name another topic's things only where a word has two meanings.
    animals = " ".join(triplets(50, topics=[TOPICS.index("animals")]).contradictions)
    assert "password" not in animals


def test_topics_share_some_words_and_own_others():
    words = [
        set(" ".join(topic.actions + topic.objects).replace("|", " ").split()) for topic in grammar._CONTENT.values()
    ]
    assert sum(bool(a & b) for a, b in itertools.combinations(words, 2)) > 20
    for i, own in enumerate(words):
        others = set().union(*(words[:i] + words[i + 1 :]))
        assert len(own - others) > len(own) / 2


def test_counting_words_is_informative_but_not_sufficient():
    vectorizer = TfidfVectorizer(token_pattern=r"\S+").fit(grammar_corpus(3000, seed=9).sentences)
    first, second, gold = similarity_pairs(2000, seed=1)
    cosine = vectorizer.transform(first).multiply(vectorizer.transform(second)).sum(axis=1)
    assert 0.45 < spearmanr(np.asarray(cosine).ravel(), gold)[0] < 0.7
    train, labels = intents(800, seed=2)
    test, truth = intents(400, seed=3)
    nearest = (vectorizer.transform(test) @ vectorizer.transform(train).T).toarray().argmax(axis=1)
    assert 0.5 < (labels[nearest] == truth).mean() < 0.85
    anchors, entailed, contradictions = (vectorizer.transform(side) for side in triplets(1000, seed=4))
    right = anchors.multiply(entailed).sum(axis=1) > anchors.multiply(contradictions).sum(axis=1)
    assert 0.45 < right.mean() < 0.7


@pytest.mark.parametrize("make", [grammar_corpus, intents, similarity_pairs, triplets])
def test_wrong_arguments_are_named(make):
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        make(0)
    with pytest.raises(ValueError, match="seed must not be negative"):
        make(3, seed=-1)
    with pytest.raises(ValueError, match="topics must be a non-empty choice"):
        make(3, topics=[])
    with pytest.raises(ValueError, match="topics must be a non-empty choice"):
        make(3, topics=[16])


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("agent", -1, "agent must lie in"),
        ("time", 10, "time must lie in"),
        ("action", 63, "same topic"),
        ("polarity", 2, "polarity must lie in"),
    ],
)
def test_impossible_meanings_are_refused(column, value, message):
    slots = grammar_corpus(1, seed=0, topics=[0]).slots.copy()
    slots[0, SLOTS.index(column)] = value
    with pytest.raises(ValueError, match=message):
        verbalize(slots)
    with pytest.raises(ValueError, match="shape"):
        verbalize(slots[:, :5])
