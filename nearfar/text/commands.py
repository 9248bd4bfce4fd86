"""Commands on texts: what is mined, searched and measured, and what language models are asked."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nearfar.cli.words import writable
from nearfar.common.parsers import Parser
from nearfar.system import Command, UsageError


def _mine(words: Sequence[str]) -> int:
    parser = Parser(prog="nearfar mine", description=COMMANDS["mine"].help)
    parser.add_argument("run", help="a run's folder: the teacher")
    parser.add_argument("pairs", help="a table with a query and a positive in each row, or a folder as BEIR's")
    parser.add_argument("--corpus", type=Path, help="a file of further passages; without it the positives alone")
    parser.add_argument("-o", "--out", type=Path, required=True, help="a .csv or .parquet file")
    parser.add_argument("--count", type=int, default=4, help="negatives of each query")
    parser.add_argument(
        "--percentage",
        type=float,
        help="at most this share of the positive's score (0.95 unless another rule is given)",
    )
    parser.add_argument("--margin", type=float, help="below the positive's score by this much")
    parser.add_argument("--max-score", type=float, help="at most this score")
    parser.add_argument("--min-score", type=float, help="at least this score")
    parser.add_argument("--naive", action="store_true", help="no rule: the nearest that are no positives")
    parser.add_argument("--shift", type=int, default=0, help="skip so many of the nearest that are left")
    parser.add_argument("--pool", type=int, help="draw from so many of the nearest that are left")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    options = parser.parse_args([*words])
    writable(options.out, options.overwrite, (".csv", ".parquet"))
    rule = {"percentage": options.percentage, "margin": options.margin, "max_score": options.max_score}
    if options.naive and any(value is not None for value in rule.values()):
        raise UsageError("--naive is no rule; leave it out, or --percentage, --margin and --max-score")
    if not options.naive and all(value is None for value in rule.values()):
        rule["percentage"] = 0.95
    import torch

    from nearfar.cli.verbs import write_columns
    from nearfar.text.data import Sentences, load
    from nearfar.text.data.retrieval import texts_of
    from nearfar.text.mining import Mining, mined_negatives

    pairs = load(options.pairs)
    if not isinstance(pairs, Sentences) or pairs.positives is None:
        raise UsageError(f"{options.pairs} has no positives; rows of a query and its positive are needed")
    method = _embedder(options.run)
    corpus = [*pairs.corpus, *(texts_of(options.corpus).texts if options.corpus else ())]
    rules = Mining(options.count, min_score=options.min_score, shift=options.shift, pool=options.pool, **rule)
    generator = torch.Generator().manual_seed(options.seed)
    with method.frozen():
        found, mined = mined_negatives(
            method.encode, pairs.sentences, pairs.positives, corpus, rules, generator=generator
        )
    full = [row for row, texts in enumerate(found) if None not in texts]
    if not full:
        raise UsageError(f"no query has {options.count} passages that the rules leave; lower --count or loosen them")
    columns: dict[str, Any] = {"query": [pairs.sentences[row] for row in full]}
    columns["positive"] = [pairs.positives[row] for row in full]
    for rank in range(options.count):
        columns["negative" if rank == 0 else f"negative_{rank}"] = [found[row][rank] for row in full]
    write_columns(options.out, columns)
    left = len(found) - len(full)
    more = f"; {left:,} pairs have fewer than {options.count} and are left out" if left else ""
    hardness = float(mined.scores[full].mean())
    print(f"{len(full):,} pairs in {options.out}, mean cosine of negatives {hardness:.3f}{more}", file=sys.stderr)
    return 0


def _search(words: Sequence[str]) -> int:
    parser = Parser(prog="nearfar search", description=COMMANDS["search"].help)
    parser.add_argument("run", help="a run's folder")
    parser.add_argument("corpus", type=Path, help="a file of passages, or a folder as BEIR's")
    parser.add_argument("queries", type=Path, nargs="?", help="a file of queries; those of the folder otherwise")
    parser.add_argument("-k", type=int, default=10, help="passages of each query")
    parser.add_argument("--rerank", help="a second run that puts them in its own order")
    parser.add_argument("--part", default="test", help="of a folder as BEIR's, the judgements of its queries")
    parser.add_argument("-o", "--out", type=Path, required=True, help="a .csv, .parquet or .trec file")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    options = parser.parse_args([*words])
    writable(options.out, options.overwrite, (".csv", ".parquet", ".trec"))
    if options.k < 1:
        raise UsageError(f"-k must be at least 1, got {options.k}")
    from nearfar.evaluation.ranking.ranked import ranked_retrieval
    from nearfar.text.search import columns_of, reranked, search

    passages, queries, relevance = _asked(options.corpus, options.queries, options.part)
    method = _embedder(options.run)
    second = _second(options.rerank) if options.rerank else None
    found = search(method, passages.texts, queries.texts, options.k)
    if second is not None:
        found = reranked(second, passages.texts, queries.texts, found)
    columns = columns_of(passages, queries, found)
    _write_ranking(options.out, columns)
    print(f"{len(queries.ids):,} queries, {found.rows.shape[1]} passages each, in {options.out}", file=sys.stderr)
    if relevance:
        lists = {name: [passages.ids[row] for row in rows] for name, rows in zip(queries.ids, found.rows, strict=True)}
        wide = found.rows.shape[1]
        scores = ranked_retrieval(lists, relevance, ks=(wide,))
        shown = ("ndcg", "mrr", "recall")
        print(", ".join(f"{name}@{wide} {scores[f'{name}@{wide}']:.4f}" for name in shown), file=sys.stderr)
    return 0


def _asked(corpus: Path, queries: Path | None, part: str) -> tuple[Any, Any, Any]:
    """Passages, queries, and judgements where there are some."""
    from nearfar.text.data.retrieval import Passages, beir, is_beir, texts_of

    if not corpus.exists():
        raise FileNotFoundError(f"there is no file or folder {corpus}")
    if not corpus.is_dir():
        if queries is None:
            raise UsageError(f"name a file of queries after {corpus}")
        return texts_of(corpus), texts_of(queries), None
    if not is_beir(corpus):
        raise UsageError(f"{corpus} has no corpus.jsonl and queries.jsonl, which are read of a folder")
    if queries is not None:
        return texts_of(corpus / "corpus.jsonl"), texts_of(queries), None
    parts = beir(corpus).splits()
    if part not in parts:
        raise UsageError(f"{corpus} has no qrels/{part}.tsv; --part takes one of {', '.join(parts) or 'none'}")
    held_out = parts[part]
    assert isinstance(held_out, Passages)
    return held_out.passages, held_out.queries, held_out.relevance


def _embedder(path: str) -> Any:
    from nearfar import workflow
    from nearfar.system import require

    entry, method, _ = workflow.load_run(path)
    if entry.field != "text":
        raise UsageError(f"{path} is a run of the field {entry.field}, and texts are searched by one of text")
    require(method, "embeds", entry.slug)
    return method


def _second(path: str) -> Any:
    from nearfar import workflow

    entry, method, _ = workflow.load_run(path)
    if entry.field != "text" or not {"ranks", "embeds"} & set(method.verbs):
        raise UsageError(f"{entry.slug} neither ranks nor embeds texts, so it cannot put passages in order")
    return method


def _write_ranking(path: Path, columns: dict[str, Any]) -> None:
    """A table, or the lines that trec_eval reads."""
    from nearfar.cli.verbs import write_columns
    from nearfar.common.files import atomic_write

    if path.suffix != ".trec":
        write_columns(path, columns)
        return
    names = {str(name) for name in (*columns["query"], *columns["passage"])}
    odd = next((name for name in names if any(c.isspace() for c in name)), None)
    if odd is not None:
        raise UsageError(f"a .trec file parts its columns by spaces, and the id {odd!r} has one; write .csv instead")
    with atomic_write(path, "w") as file:
        for query, passage, rank, score in zip(*columns.values(), strict=True):
            file.write(f"{query} Q0 {passage} {rank} {score:.6f} nearfar\n")


def _rewrite(words: Sequence[str]) -> int:
    parser = Parser(prog="nearfar rewrite", description=COMMANDS["rewrite"].help)
    parser.add_argument("sentences", help="a text file or table of sentences")
    parser.add_argument("--model", required=True, help="an instructed language model: a folder, or hf:<model>")
    parser.add_argument("-o", "--out", type=Path, required=True, help="a .csv or .parquet file")
    parser.add_argument("--count", type=int, default=32, help="rewrites of each sentence")
    parser.add_argument("--scale", type=float, default=1.5, help="how far each is led away from the one before")
    parser.add_argument("--most", type=int, default=100, help="tokens of a rewrite at most")
    parser.add_argument("--together", type=int, default=16, help="sentences that are rewritten together")
    parser.add_argument("--device", default="cpu", help="where the model runs, such as cuda")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    options = parser.parse_args([*words])
    writable(options.out, options.overwrite, (".csv", ".parquet"))
    if options.model.startswith(("http://", "https://")):
        raise UsageError("rewriting reads the probabilities of words, which servers do not give; name a folder")
    from nearfar.cli.verbs import write_columns
    from nearfar.encoders.language_models import LocalModel
    from nearfar.text.chains import Rewriting, written_chains
    from nearfar.text.data import Sentences, load

    how = Rewriting(options.count, options.scale, options.most)
    found = load(options.sentences)
    if not isinstance(found, Sentences):
        raise UsageError(f"{options.sentences} holds no sentences")
    model = LocalModel(options.model, batch_size=options.together)
    model.lm.model.to(options.device)
    chains = written_chains(model, found.sentences, how)
    if not chains:
        raise UsageError("every list went round in a circle or had an answer that is no sentence; try another model")
    rows = [(text, place) for chain in chains for place, text in enumerate(chain)]
    write_columns(options.out, {"sent": [text for text, _ in rows], "round": [place for _, place in rows]})
    print(f"{len(chains):,} of {len(found):,} sentences with {how.count} rewrites in {options.out}", file=sys.stderr)
    return 0


def _feedback(words: Sequence[str]) -> int:
    parser = Parser(prog="nearfar feedback", description=COMMANDS["feedback"].help)
    parser.add_argument("sentences", help="sentences; or, only to be scored, a table of them with their positives")
    parser.add_argument("--model", required=True, help="http://host/v1#name, a folder, hf:<model>, or kept answers")
    parser.add_argument("-o", "--out", type=Path, required=True, help="a .csv or .parquet file")
    parser.add_argument("--keep", type=Path, help="a .jsonl file of answers, which are asked once")
    parser.add_argument("--reason-first", action="store_true", help="let the model explain before it gives a score")
    parser.add_argument("--seed", type=int, default=0, help="of masks, answers and drawn pairs")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    options = parser.parse_args([*words])
    writable(options.out, options.overwrite, (".csv", ".parquet"))
    from nearfar.cli.verbs import write_columns
    from nearfar.encoders.language_models import Kept, language_model
    from nearfar.text import feedback
    from nearfar.text.data import Sentences, load

    found = load(options.sentences)
    if not isinstance(found, Sentences):
        raise UsageError(f"{options.sentences} holds no sentences")
    model = language_model(options.model)
    model = Kept(options.keep, model) if options.keep else model
    how = feedback.Judging(options.reason_first)
    if found.positives is None:
        pairs = feedback.written_pairs(model, found.sentences, seed=options.seed)
        pairs = [pair for pair in pairs if pair[1]]
        scores = feedback.judged(model, pairs, how, seed=options.seed)
        kept = feedback.trimmed(pairs, scores, seed=options.seed)
        columns: dict[str, Any] = dict(zip(("sentence1", "sentence2", "score"), kept, strict=True))
    else:
        pairs = [*zip(found.sentences, found.positives, strict=True)]
        scores = feedback.judged(model, pairs, how, seed=options.seed)
        rows = [row for row, score in enumerate(scores) if score is not None]
        if not rows:
            raise UsageError(f"the model gave none of {len(pairs):,} pairs a score from 0 to 1")
        sides = {"sentence": found.sentences, "positive": found.positives, "negative": found.negatives, "score": scores}
        columns = {name: [side[row] for row in rows] for name, side in sides.items() if side is not None}
    write_columns(options.out, columns)
    none = sum(score is None for score in scores)
    more = f"; {none:,} of {len(scores):,} answers had no score" if none else ""
    print(f"{len(columns['score']):,} pairs in {options.out}{more}", file=sys.stderr)
    return 0


def _transforms(words: Sequence[str]) -> int:
    parser = Parser(prog="nearfar transforms", description=COMMANDS["transforms"].help)
    parser.add_argument("sentences", help="a text file or table of sentences")
    parser.add_argument("--judge", required=True, help="a run's folder, or an encoder by name such as hf:<model>")
    parser.add_argument("--only", help="one transform, by name; all that need nothing when not given")
    parser.add_argument("--strength", type=float, help="of every transform, in [0, 1]; each its own when not given")
    parser.add_argument("--count", type=int, default=500, help="sentences that are measured")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("-o", "--out", type=Path, help="a .csv or .parquet file; printed when not given")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    options = parser.parse_args([*words])
    if options.out:
        writable(options.out, options.overwrite, (".csv", ".parquet"))
    from nearfar.cli.verbs import write_columns
    from nearfar.encoders import TextEncoder, text_encoder
    from nearfar.text.data import Sentences, load
    from nearfar.text.transforms import TRANSFORMS, transform_of
    from nearfar.text.transforms.report import transform_report

    found = load(options.sentences)
    if not isinstance(found, Sentences):
        raise UsageError(f"{options.sentences} holds no sentences")
    judge: Any = _embedder(options.judge).encoder if Path(options.judge).is_dir() else text_encoder(options.judge)
    if not isinstance(judge, TextEncoder):
        raise UsageError(f"the encoder of {options.judge} does not read texts")
    names = [transform_of(options.only).name] if options.only else [n for n, t in TRANSFORMS.items() if not t.needs]
    texts = found.sentences[: options.count]
    rows = [
        {"transform": n, **transform_report(n, texts, judge, strength=options.strength, seed=options.seed)}
        for n in names
    ]
    if options.out:
        write_columns(options.out, {name: [row[name] for row in rows] for name in rows[0]})
        return 0
    print("  ".join(f"{name:>14}" for name in rows[0]))
    for row in rows:
        print("  ".join(f"{v:>14}" if isinstance(v, str) else f"{v:14.3f}" for v in row.values()))
    return 0


COMMANDS = {
    "feedback": Command("let a language model write pairs of sentences and say how similar they are", _feedback),
    "mine": Command("find hard negatives for pairs of texts with a finished run", _mine),
    "rewrite": Command("let a language model say sentences again and again, farther away every time", _rewrite),
    "search": Command("rank passages for queries with a finished run", _search),
    "transforms": Command("measure what transforms of texts keep and what they change", _transforms),
}
