"""GAugLLM: mixtures of texts, edited edges, what a language model is asked, what is learned, promised and refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nearfar.cli import main
from nearfar.encoders.language_models import Answering, Kept, LanguageModel
from nearfar.graph.data import TextGraph, load
from nearfar.graph.data.text_graph import candidates, context_sentences, notes
from nearfar.graph.describing import Asking, described, verdicts
from nearfar.graph.methods.gaugllm import GAugLLM
from nearfar.graph.prompt_experts import PromptExperts
from nearfar.graph.views.verdicts import drawn_pairs, edited, without
from nearfar.reproductions.arms import build, train
from nearfar.sources.words import text_vectors
from nearfar.testing import check_method
from nearfar.training import embed
from tests.graph.learning import accuracy, division_accuracy
from tests.losses.graph_cases import CASES
from tests.losses.registry import value_and_gradients

SMALL = {"widths": (16,), "predictor_hidden": 16, "drawn": 5}


@pytest.fixture(scope="module")
def graph() -> TextGraph:
    return notes(280)


def test_gaugllm_keeps_every_promise(graph: TextGraph) -> None:
    check_method(GAugLLM, graph, {"in_features": 128, **SMALL}, batch_size=1)


@pytest.mark.parametrize("case", [case for case in CASES if case.exported == "neighbour_prediction"], ids=str)
def test_the_loss_of_neighbours_is_that_of_the_formula(case) -> None:
    inputs = case.data(torch.float64)
    found, gradients = value_and_gradients(case.loss, inputs)
    expected, right = value_and_gradients(case.slow, inputs)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients, right)
    assert torch.autograd.gradcheck(case.loss, inputs)


def test_the_mixture_is_the_released_one() -> None:
    torch.manual_seed(0)
    mixture = PromptExperts(6, 4).double()
    contents, contexts = torch.randn(2, 5, 4, 6, dtype=torch.float64)
    weights, found = mixture(contents, contexts)
    for node in range(5):
        inner = torch.cat([F.leaky_relu(mixture.inner(contents[node, m])) for m in range(4)])
        logits = mixture.outer(inner) + torch.stack([contents[node, m] @ contexts[node, m] for m in range(4)])
        expected = torch.softmax(logits / 0.2, 0)
        torch.testing.assert_close(weights[node], expected)
        torch.testing.assert_close(found[node], expected @ contents[node])


def test_edges_are_edited_by_verdicts() -> None:
    edges = torch.tensor([[0, 0, 0, 0, 1, 2, 3, 4], [1, 2, 3, 4, 0, 0, 0, 0]])
    removable = torch.tensor([[0, 0, 0, 1], [1, 2, 3, 0], [1, 0, 0, 0]])
    addable = torch.tensor([[0, 0, 1], [5, 6, 2], [1, 0, 1]])
    generator = torch.Generator().manual_seed(0)
    how = {"share": 1.0, "most": 10, "least": 2, "generator": generator}
    found = edited(edges, removable, addable, 7, **how)
    pairs = {tuple(pair) for pair in found.T.tolist()}
    # Node 0 keeps its edge to 4, and to 1, which is connected; 1 has too few candidates to lose any.
    assert pairs == {(0, 4), (0, 1), (0, 5), (1, 0), (1, 2), (2, 0), (3, 0), (4, 0)}
    nothing = edited(edges, removable, addable, 7, **{**how, "share": 0.0})
    assert {tuple(pair) for pair in nothing.T.tolist()} == {(0, 4), (1, 0), (2, 0), (3, 0), (4, 0)}
    assert without(edges, removable[:2], 7).T.tolist() == [[0, 4], [2, 0], [3, 0], [4, 0]]


def test_each_node_draws_its_own_number_of_pairs_evenly() -> None:
    pairs = torch.stack([torch.arange(30) // 10, torch.arange(30), torch.ones(30, dtype=torch.long)])
    quota = torch.tensor([3, 0, 10])
    generator = torch.Generator().manual_seed(0)
    counts = torch.zeros(30)
    for _ in range(300):
        found = drawn_pairs(pairs, quota, generator)
        assert torch.bincount(found[0], minlength=3).tolist() == [3, 0, 10]
        counts[found[1]] += 1
    assert counts[:10].min() > 60  # of 90 on average
    assert counts[20:].min() == 300
    pairs[2, ::2] = 0
    assert len(drawn_pairs(pairs, torch.tensor([0, 0, 10]), generator)[0]) == 5  # drawn, and then not connected


def test_candidates_are_the_least_and_the_most_alike(graph: TextGraph) -> None:
    x, edges = graph.graph.x.numpy(), graph.graph.edge_index.numpy()
    removable, addable = candidates(x, edges, most=3)
    near = {tuple(pair) for pair in edges.T.tolist()}
    assert {tuple(pair) for pair in removable.T.tolist()} <= near
    assert not {tuple(pair) for pair in addable.T.tolist()} & near
    unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    for node in (0, 17, 201):
        own = edges[1][edges[0] == node]
        least = sorted(unit[own] @ unit[node])[:3]
        np.testing.assert_allclose(sorted(unit[removable[1][removable[0] == node]] @ unit[node]), least, rtol=1e-4)
        others = np.setdiff1d(np.arange(280), [*own, node])
        most = np.sort(unit[others] @ unit[node])[-3:]
        np.testing.assert_allclose(np.sort(unit[addable[1][addable[0] == node]] @ unit[node]), most, rtol=1e-4)


def test_neighbours_and_topics_are_told_after_training(graph: TextGraph) -> None:
    method = build("gaugllm", graph, 0, **{**SMALL, "widths": (64,)})
    held = graph.graph

    def separation() -> float:
        """How often an edge scores above a random pair."""
        with method.frozen():
            x, known = method.mixed(held)[1], method.neighbours(held.contents.mean(1))
        source, target = held.edge_index
        other = target[torch.randperm(len(target), generator=torch.Generator().manual_seed(0))]
        near, far = ((x[source] * known[end]).sum(1) for end in (target, other))
        return float((near > far).float().mean())

    before = separation()
    train("gaugllm", method.train(), graph, 0, steps=80)
    assert separation() > before + 0.05
    raw = division_accuracy(held.x.numpy(), graph.labels)
    assert accuracy(method.eval(), graph) > raw + 0.1
    assert (embed(method, graph).array.std(0) > 1e-3).mean() > 0.8


def test_phases_train_the_mixture_and_then_the_host(graph: TextGraph) -> None:
    method = build("gaugllm", graph, 0, **SMALL, host="gbt", mixing=0.5)
    first = [p.detach().clone() for p in method.encoder.parameters()]
    mixture = [p.detach().clone() for p in method.mixture.parameters()]
    train("gaugllm", method, graph, 0, steps=2)
    assert any(not torch.equal(p, q) for p, q in zip(method.encoder.parameters(), first, strict=True))
    assert any(not torch.equal(p, q) for p, q in zip(method.mixture.parameters(), mixture, strict=True))
    method.seed_step(0, 0)
    with torch.no_grad():
        views = method.views(graph.batch(np.arange(1)))
    loss = method.loss(views)
    assert torch.autograd.grad(loss, method.mixture.outer.weight, allow_unused=True)[0] is None


class Clerk(LanguageModel):
    """Answers by what a question asks for, and counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def answers(self, prompts: Sequence[str], how: Answering = Answering(), *, seed: int = 0) -> list[str]:
        self.asked += prompts
        return ["Yes, they are." if "connected? Answer" in p else f"about {p[6:16]}" for p in prompts]


TEXTS = ["a first {text} of cats", "a second text of cats", "a third text of dogs", "another of dogs"]
EDGES = np.array([[0, 1, 2, 3, 0, 2], [1, 0, 3, 2, 2, 0]])


def test_a_language_model_is_asked_about_nodes_and_pairs() -> None:
    clerk = Clerk()
    found = described(clerk, TEXTS, EDGES, ["cats", "dogs"])
    assert found.shape == (4, 4)
    assert found[:, 0].tolist() == TEXTS
    assert len(clerk.asked) == 12
    assert "Text: a first {text} of cats" in clerk.asked[0]
    assert "cats, dogs" in clerk.asked[0]
    assert "- a second text of cats" in clerk.asked[4]
    removable, addable = verdicts(clerk, TEXTS, EDGES)
    assert removable.shape == (3, 6)
    assert (addable[2] == 1).all()
    assert not {tuple(pair) for pair in addable[:2].T.tolist()} & {tuple(pair) for pair in EDGES.T.tolist()}

    class Silent(Clerk):
        def answers(self, prompts: Sequence[str], how: Answering = Answering(), *, seed: int = 0) -> list[str]:
            return ["I cannot know"] * len(prompts)

    removable, addable = verdicts(Silent(), TEXTS, EDGES)
    assert (removable[2] == 1).all()
    assert (addable[2] == 0).all()
    with pytest.raises(ValueError, match=r"must hold \{second\}"):
        Asking(connect="{first}?")
    with pytest.raises(ValueError, match="name the classes"):
        described(clerk, TEXTS, EDGES, [])


def test_the_command_asks_once_and_its_file_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "graph.npz", texts=np.array(TEXTS), edge_index=EDGES, y=np.array([0, 0, 1, 1]))
    kept = tmp_path / "answers.jsonl"
    how = Kept(kept, Clerk())
    described(how, TEXTS, EDGES, ["cats", "dogs"])
    verdicts(how, TEXTS, EDGES)
    words = ["describe", str(tmp_path / "graph.npz"), "--classes", "cats, dogs", "-o", str(tmp_path / "out.npz")]
    assert main([*words, "--model", str(kept)]) == 0
    assert "4 nodes with 4 texts, 0 edges to remove and 6 to add" in capsys.readouterr().err
    data = load(tmp_path / "out.npz")
    assert isinstance(data, TextGraph)
    assert data.graph.contents.shape == (4, 4, 128)
    assert data.graph.removable.shape == (3, 6)
    assert data.facts["experts"] == 4
    assert main([*words, "--model", str(kept)]) != 0  # the file is there


def test_vectors_and_contexts() -> None:
    vectors = text_vectors(["cats and cats", "cats", "dogs", "the dogs and cats", ""], width=6)
    assert vectors.shape == (5, 6)
    np.testing.assert_allclose(np.linalg.norm(vectors[:4], axis=1), 1, rtol=1e-5)
    assert not vectors[4].any()
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
    said = context_sentences(np.array([1, 2, 3, 4, 20]), "A text.")
    assert ["few" in each for each in said] == [True, True, False, False, False]
    assert "many" in said[4]


def test_refusals(graph: TextGraph) -> None:
    with pytest.raises(ValueError, match="in_features is needed"):
        GAugLLM()
    with pytest.raises(ValueError, match="host is bgrl or gbt"):
        GAugLLM(4, host="grace")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 2 texts a node"):
        TextGraph(np.ones((3, 1, 2)), np.zeros((2, 0), dtype=int))
    with pytest.raises(ValueError, match="removable must be whole numbers"):
        TextGraph(np.ones((3, 2, 2)), np.zeros((2, 0), dtype=int), removable=np.array([[0], [5], [1]]))
    with pytest.raises(ValueError, match="parts of notes cannot be drawn"):
        graph.sample_parts(20)
    with pytest.raises(ValueError, match="temperature above 0"):
        PromptExperts(4, 4, 0.0)
