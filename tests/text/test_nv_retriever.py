"""Retrieval: what is mined, learned from, searched for and measured, by hand and by command."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from nearfar import workflow
from nearfar.cli import main
from nearfar.reproductions.arms import build, train
from nearfar.text.data import Sentences, load
from nearfar.text.data.retrieval import Passages, grammar_retrieval, texts_of
from nearfar.text.evaluation import evaluate
from nearfar.text.mining import Mining, mined_negatives
from nearfar.text.search import reranked, search
from nearfar.training import Training

WORDS = ("red round ring", "blue square box", "red round hoop", "green long rope", "blue flat box", "a wide sea")


def bag(texts) -> torch.Tensor:  # type: ignore[no-untyped-def]
    """Counts of words: a teacher whose scores can be read off."""
    known = sorted({word for text in WORDS for word in text.split()})
    return torch.tensor([[float(text.split().count(word)) for word in known] for text in texts])


def test_texts_are_mined_with_all_their_positives() -> None:
    queries = ["red round", "red round", "blue box", "sea"]
    positives = ["red round ring", "red round hoop", "blue square box", "a wide sea"]
    found, mined = mined_negatives(bag, queries, positives, [*WORDS, "blue box"], Mining(1, percentage=None))
    assert found[0] == found[1]
    assert not {"red round ring", "red round hoop"} & {*found[0]}
    assert found[2] == ["blue flat box"]  # not the passage that says the same as the query
    near, _ = mined_negatives(bag, queries, positives, WORDS, Mining(2))
    assert "blue flat box" not in near[2]  # as near as the positive: probably right
    assert mined.rows.shape == (4, 1)
    few, _ = mined_negatives(bag, ["sea"], ["a wide sea"], (), Mining(2, percentage=None))
    assert few == [[None, None]]


@pytest.fixture(scope="module")
def pairs() -> Sentences:
    return load("grammar-retrieval", examples=80)  # type: ignore[return-value]


def test_the_stages_compare_with_all_passages_then_with_own_negatives(pairs: Sentences) -> None:
    method = build("nv-retriever", pairs, 0, dropout=0.0, second_stage=0.0)
    last = build("nv-retriever", pairs, 0, dropout=0.0, second_stage=1.0)
    for each in (method, last):
        each.begin(pairs)
    assert method.mined == last.mined
    again = build("nv-retriever", pairs, 0)
    again.resumed(pairs)
    assert again.mined == method.mined
    views = method.views(pairs.batch(np.arange(6)))
    assert [*map(len, views.negatives)] == [6] * 4
    assert all(not {*texts} & {pairs.positives[row]} for row, texts in enumerate(method.mined))
    q, p, *n = method.encoder([*itertools.chain(views.queries, views.positives, *views.negatives)]).chunk(6)
    q, p, n = (torch.nn.functional.normalize(x, dim=-1) for x in (q, p, torch.stack(n)))
    near = torch.cat([q @ p.t(), *(q @ each.t() for each in n)], 1) / 0.02
    torch.testing.assert_close(method.loss(views), torch.nn.functional.cross_entropy(near, torch.arange(6)))
    own = torch.stack([(q * p).sum(1), *((q * each).sum(1) for each in n)], 1) / 0.02
    torch.testing.assert_close(
        last.loss(views), torch.nn.functional.cross_entropy(own, torch.zeros(6, dtype=torch.long))
    )
    assert method.loss(views) > 0


def test_negatives_of_the_data_are_taken_and_pairs_are_needed(pairs: Sentences) -> None:
    triplets = load("grammar-entailment", examples=40)
    method = build("nv-retriever", triplets, 0)
    method.begin(triplets)
    assert not method.mined
    assert method.views(triplets.batch(np.arange(4))).negatives == [triplets.negatives[:4]]
    with pytest.raises(ValueError, match="nv-retriever learns from pairs of a query and its passage, and"):
        method.begin(load(examples=20))
    with pytest.raises(ValueError, match=r"second_stage must be in \[0, 1\], got 2"):
        build("nv-retriever", pairs, 0, second_stage=2)


def test_it_learns_to_find_passages(pairs: Sentences) -> None:
    method = build("nv-retriever", pairs, 0, mining=Mining(2))
    before = evaluate(method.eval(), pairs)
    assert {"ndcg@10 test", "mrr@10 test", "recall@100 test", "map test"} <= {*before}
    train("nv-retriever", method, pairs, 0, steps=15, batch_size=12)
    after = evaluate(method, pairs)
    assert after["ndcg@10 test"] > before["ndcg@10 test"] + 0.02
    assert after["effective_rank"] > 5


def test_the_generated_corpus_holds_answers_that_nobody_labelled() -> None:
    found, asked = grammar_retrieval(30, seed=2)
    assert [len(of) for of in asked.relevance.values()] == [4] * 30
    assert {*found.positives} < {*found.corpus}
    assert len(asked) == 30 * 6


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": f"d{row}", "title": "on" if row else "", "text": text} for row, text in enumerate(WORDS)]
    queries = [{"_id": 7, "text": "red round"}, {"_id": 8, "text": "blue box"}, {"_id": 9, "text": "sea"}]
    for name, rows in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    head = "query-id\tcorpus-id\tscore\n"
    (folder / "qrels" / "train.tsv").write_text(head + "7\td0\t1\n7\td2\t2\n8\td1\t1\n8\td3\t0\n")
    (folder / "qrels" / "test.tsv").write_text(head + "9\td5\t1\n8\td4\t2\n")
    return folder


def test_a_folder_as_beirs_is_read(beir: Path) -> None:
    data = load(beir)
    assert isinstance(data, Sentences)
    assert [*zip(data.sentences, data.positives, strict=True)] == [
        ("red round", "red round ring"),
        ("red round", "on red round hoop"),
        ("blue box", "on blue square box"),
    ]
    assert len(data.corpus) == 6
    test = data.splits()["test"]
    assert isinstance(test, Passages)
    assert test.queries.ids == ["8", "9"]
    assert test.relevance == {"9": {"d5": 1.0}, "8": {"d4": 2.0}}
    (beir / "qrels" / "train.tsv").unlink()
    assert len(load(beir)) == 6
    (beir / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n9\tnone\t1\n9\td5\t1\n")
    with pytest.warns(UserWarning, match=r"1 lines of .*test.tsv name a query or a passage that is not there"):
        load(beir)
    (beir / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n9\td5\thigh\n")
    with pytest.raises(ValueError, match="line 2: 'high' is no grade"):
        load(beir)
    (beir / "qrels" / "test.tsv").unlink()
    with pytest.raises(ValueError, match=r"has no judgements: expected qrels/test\.tsv"):
        load(beir)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, pairs: Sentences) -> Path:
    out = tmp_path_factory.mktemp("runs") / "teacher"
    arguments, training = workflow.laptop_settings(workflow.trainable("simcse"), tiny=True)
    training = Training(**{**training, "steps": 2, "batch_size": 8})
    workflow.train(
        "simcse",
        data="grammar",
        data_options={"examples": 40},
        out=out,
        arguments=arguments,
        training=training,
        progress=False,
    )
    return out


def test_mining_by_command_gives_what_training_reads(run: Path, beir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = beir.parent / "triplets.parquet"
    assert main(["mine", str(run), str(beir), "--naive", "--count", "2", "-o", str(out)]) == 0
    assert "3 pairs in" in capsys.readouterr().err
    table = pq.read_table(out).to_pydict()
    assert [*table] == ["query", "positive", "negative", "negative_1"]
    hoops = {"red round ring", "on red round hoop"}
    assert not hoops & {table["negative"][0], table["negative_1"][1]}
    data = load(out)
    assert len(data.batch(np.arange(3)).more_negatives) == 1
    assert main(["mine", str(run), str(beir), "--naive", "--count", "2", "-o", str(out)]) == 2
    assert "give --overwrite" in capsys.readouterr().err
    wrong = ["mine", str(run), str(beir), "--naive", "--margin", "0.1", "-o", str(beir.parent / "x.parquet")]
    assert main(wrong) == 2
    assert "--naive is no rule" in capsys.readouterr().err


def test_searching_by_command_ranks_and_measures(run: Path, beir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = beir.parent / "ranked.csv"
    assert main(["search", str(run), str(beir), "-k", "3", "-o", str(out)]) == 0
    said = capsys.readouterr().err
    assert "2 queries, 3 passages each" in said
    assert "ndcg@3" in said
    lines = [line.split(",") for line in out.read_text().splitlines()]
    assert lines[0] == ["query", "passage", "rank", "score"]
    assert [row[:1] + row[2:3] for row in lines[1:4]] == [["8", "1"], ["8", "2"], ["8", "3"]]
    trec = beir.parent / "ranked.trec"
    words = ["search", str(run), str(beir / "corpus.jsonl"), str(beir / "queries.jsonl"), "--rerank", str(run)]
    assert main([*words, "-k", "3", "-o", str(trec)]) == 0
    first = trec.read_text().splitlines()
    assert len(first) == 9
    assert [line.split()[2] for line in first[3:6]] == [row[1] for row in lines[1:4]]  # itself again changes nothing
    capsys.readouterr()
    assert main(["search", str(run), str(beir / "corpus.jsonl"), "-o", str(beir.parent / "y.csv")]) == 2
    assert "name a file of queries" in capsys.readouterr().err


def test_searching_is_the_whole_ranking_by_cosine(run: Path) -> None:
    _, method, _ = workflow.load_run(run)
    found = search(method, WORDS, ["red ring", "the sea"], 4)
    with method.frozen():
        x, q = (torch.nn.functional.normalize(method.encode([*t])) for t in (WORDS, ["red ring", "the sea"]))
    assert np.array_equal(found.rows, (q @ x.t()).topk(4).indices.numpy())
    again = reranked(method, WORDS, ["red ring", "the sea"], found._replace(rows=found.rows[:, ::-1].copy()))
    assert np.array_equal(again.rows, found.rows)
    np.testing.assert_allclose(again.scores, found.scores, rtol=1e-4, atol=1e-5)


def test_texts_of_a_file_that_does_not_fit_are_named(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("id,text\na,one\na,two\n")
    with pytest.raises(ValueError, match="has the id 'a' more than once"):
        texts_of(table)
    table.write_text("id,label\na,one\n")
    with pytest.raises(ValueError, match="has no column of texts: its columns are id, label"):
        texts_of(table)
