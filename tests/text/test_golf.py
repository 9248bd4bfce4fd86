"""GOLF: parts as released with the views paired as meant, labels that are missing, and that it learns."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nearfar.encoders import TextEncoder
from nearfar.encoders.tokens import HashTokenizer
from nearfar.reproductions.arms import build, train
from nearfar.text.data import load
from nearfar.text.data.arguments import RELATIONS, Arguments, made
from nearfar.text.hierarchy import Hierarchy, MutualAttention
from nearfar.text.methods.golf import GOLF, levels_loss, runs
from nearfar.text.trees import dice_of_paths
from tests.losses.registry import draw
from tests.parity import ParityCase, parity


def encoder(width: int) -> TextEncoder:
    model = nn.Linear(1, 1)
    model.config = SimpleNamespace(hidden_size=width)
    return TextEncoder(model, HashTokenizer())


def released(case: ParityCase, a: dict[str, Tensor]) -> GOLF:
    """The method with a case's parameters and hierarchy."""
    h = case.hyper
    ends = [h["n_top"], h["n_top"] + h["n_sec"]]
    above = {int(b): int(t) for t, b in a["in_edge_index"].t() if t < b}
    leaves = range(ends[1], ends[1] + h["n_conn"])
    paths = [[f"t{above[above[leaf]]}", f"s{above[leaf]}", f"u{leaf}"] for leaf in leaves]
    width = a["in_hidden"].shape[2]
    method = GOLF(
        encoder(width), hierarchy=paths, heads=h["heads"], rounds=h["co_attention_rounds"],
        label_width=a["in_label_embedding"].shape[1], global_weight=h["lambda_global"],
        local_weight=h["lambda_local"], temperature=h["temperature"],
    ).double().eval()  # fmt: skip
    names = {
        "label_graph.own": "label_embedding",
        "to_pairs.0": "mlp_dense",
        "to_labels.0": "mlp_relation_to_joint_dense",
        "label_graph.project.0": "mlp_label_to_joint_dense",
        "attention.norm": "layer_norm",
    }
    names |= {f"classifiers.{k}": f"fc_{name}" for k, name in enumerate(("top", "sec", "conn"))}
    for k in range(2):
        names[f"label_graph.biases.{k}"] = f"gcn_layers_{k}_bias"
        names[f"label_graph.convolutions.{k}"] = f"gcn_layers_{k}_lin"
        for own, theirs in (("query", "w_qs"), ("key", "w_ks"), ("value", "w_vs"), ("out", "fc")):
            names[f"attention.{('to_first', 'to_second')[k]}.{own}"] = f"co_attention_layer_{k + 1}_{theirs}"
    state = {}
    for own, theirs in names.items():
        for suffix in ("", ".weight", ".bias"):
            found = a.get(f"in_{theirs}{suffix.replace('.', '_')}")
            if found is not None:
                state[own + suffix] = found
    missing = method.load_state_dict({n: v.detach() for n, v in state.items()}, strict=False)
    assert not missing.unexpected_keys
    dropped = ("encoder", "attention") if not h["co_attention_rounds"] else ("encoder",)
    assert all(name.startswith(dropped) for name in missing.missing_keys)
    return method


def states(method: GOLF, a: dict[str, Tensor]) -> Tensor:
    masks = (torch.cat([a[f"in_arg{k}_mask"]] * 2) for k in (1, 2))
    return method.attention(a["in_hidden"], *masks)[:, 0]


@pytest.mark.parametrize("case", parity("golf", "golf_loss"))
def test_parts_are_as_released(case: ParityCase) -> None:
    a = case.load()
    method = released(case, a)
    numbers = torch.stack([a[f"in_y_{level}"] for level in ("top", "sec", "conn")], 1)
    found = states(method, a)
    for level, logits in zip(("top", "sec", "conn"), method.logits(found[: len(numbers)]), strict=True):
        torch.testing.assert_close(logits, a[f"out_logits_{level}"], rtol=1e-7, atol=1e-8)
    terms = method.terms(found, numbers)
    torch.testing.assert_close(terms["classes"], a["out_cls"], rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(terms["global"], case.hyper["lambda_global"] * a["out_glob"], rtol=1e-7, atol=1e-8)
    (gradient,) = torch.autograd.grad(terms["global"], a["in_hidden"], retain_graph=True)
    wanted = case.hyper["lambda_global"] * a["grad_hidden_global"]
    torch.testing.assert_close(gradient, wanted, rtol=1e-7, atol=1e-8)
    # The release takes neighbours for views; rows in that order make its number with the pairing that is meant.
    paired = torch.cat([found[0::2], found[1::2]])
    torch.testing.assert_close(method.terms(paired, numbers)["local"], a["out_local"], rtol=1e-7, atol=1e-8)
    if len(numbers) == len(numbers.unique(dim=0)):
        assert not torch.allclose(terms["local"], a["out_local"])


def test_attention_is_to_the_other_text_and_adds_the_input() -> None:
    """Against heads one by one, with tokens that may not be looked at."""
    module = MutualAttention(6, 2).double().eval()
    x, mask = draw(2, 4, 6), torch.tensor([[1, 1, 0, 0], [0, 1, 1, 1]])
    expected = x.clone()
    for row in range(2):
        q, k, v = (part(x[row]) for part in (module.query, module.key, module.value))
        k, v = k[mask[row] > 0], v[mask[row] > 0]
        heads = [(q[:, h] @ k[:, h].t() / 3**0.5).softmax(1) @ v[:, h] for h in (slice(0, 3), slice(3, 6))]
        expected[row] += module.out(torch.cat(heads, 1))
    torch.testing.assert_close(module(x, mask), expected)


def test_paths_share_what_their_labels_share() -> None:
    numbers = torch.tensor([[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3], [0, -1, -1]])
    found = dice_of_paths(numbers, runs(3))
    sets = [{(level, int(n)) for level, n in enumerate(row) if n >= 0} for row in numbers]
    for i, j in ((i, j) for i in range(5) for j in range(5) if i != j):
        shares = []
        for run in runs(3):
            a, b = ({e for e in s if e[0] in run} for s in (sets[i], sets[j]))
            shares.append(2 * len(a & b) / (len(a) + len(b)) if a or b else 0.0)
        assert float(found[i, j]) == pytest.approx(np.mean(shares))
    assert (found.diagonal() == 1).all()


def test_a_missing_level_takes_no_part() -> None:
    logits = [torch.randn(3, 4, requires_grad=True), torch.randn(3, 2, requires_grad=True)]
    numbers = torch.tensor([[0, -1], [2, -1], [3, -1]])
    value = levels_loss(logits, numbers)
    torch.testing.assert_close(value, nn.functional.cross_entropy(logits[0], numbers[:, 0]))
    value.backward()
    assert not logits[1].grad.any()
    tree = Hierarchy([["a", "b"], ["a", ""], ["c", "d"]])
    assert tree.names == [["a", "c"], ["b", "d"]]
    assert tree.edges == [(0, 2), (1, 3)]
    assert tree.numbers([["c", "new"], ["a", ""]]).tolist() == [[1, -1], [0, -1]]
    for wrong in ([], [["a"], ["a", "b"]], [["a", ""]]):
        with pytest.raises(ValueError, match="hierarchy"):
            Hierarchy(wrong)


def test_pairs_are_one_sequence_and_the_longer_is_cut() -> None:
    tokens = HashTokenizer(max_length=7).pairs(["a b c d e f", "a"], ["x y", "z"])
    assert tokens.second.tolist() == [[0, 0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 0, 0, 0]]
    assert tokens.attention_mask.sum(1).tolist() == [7, 4]
    assert (tokens.input_ids[0, [0, 4]] == 1).all()


def test_it_learns_relations() -> None:
    data = made(120)
    assert {tuple(path) for path in data.facts["hierarchy"]} <= {*RELATIONS}
    method = build("golf", data, 0, dropout=0.0)
    before = method.evaluate(data)
    train("golf", method, data, 0, steps=25, batch_size=16)
    after = method.evaluate(data)
    assert after["accuracy 1"] > before["accuracy 1"] + 0.1
    assert set(after) == {*(f"{what} {k}" for what in ("accuracy", "macro-f1") for k in (1, 2, 3)), "consistent"}
    assert len(method.predict(data.batch(np.arange(3)))) == 3


def test_tables_of_arguments_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = "".join(f"text {n},other {n},x,y{n % 2}\n" for n in range(20))
    path.write_text(f"arg1,arg2,label_1,label_2\n{rows}a,b,x,\n,b,x,y0\n")
    with pytest.warns(UserWarning, match="1 of 22 pairs"):
        data = load(path)
    assert isinstance(data, Arguments)
    assert data.batch(np.array([0, 20])).paths == [("x", "y0"), ("x", "")]
    path.write_text("arg1,arg2,label_1\na,b,\n")
    with pytest.raises(ValueError, match="it has no label at any level"), pytest.warns(UserWarning, match="1 of 1"):
        load(path, max_bad=1.0)
    with pytest.raises(ValueError, match="2 first texts have 1 second"):
        Arguments(["a", "b"], ["c"], [("x",)])
    with pytest.raises(ValueError, match="heads must divide the width 128, got 3"):
        build("golf", made(20), 0, heads=3)
    with pytest.raises(ValueError, match="weights must be at least 0"):
        build("golf", made(20), 0, local_weight=-1.0)
