"""Small files such as users have, for the commands of the pages: each made by its name in ``<!-- files: NAME -->``."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

COLOURS = {"red": (200, 40, 40), "green": (40, 170, 60), "blue": (50, 70, 210)}
SHAPES = ("circle", "square")
MAKERS: dict[str, Callable[[Path], None]] = {}


def maker(name: str) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """Register what makes a file or folder of a name; it is given the path."""

    def keep(function: Callable[[Path], None]) -> Callable[[Path], None]:
        MAKERS[name] = function
        return function

    return keep


def make(name: str, folder: Path) -> None:
    """Make a file where it is not there already.

    Raises:
        KeyError: nothing makes a file of that name.
    """
    if not (folder / name).exists():
        MAKERS[name](folder / name)


def table(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    rows = list(rows)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def lines(path: Path, rows: Iterable[Any]) -> None:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))


def picture(shape: str, colour: str, rng: np.random.Generator, size: tuple[int, int] = (48, 40)) -> Image.Image:
    made = Image.fromarray(rng.integers(180, 256, (size[1], size[0], 3), dtype=np.uint8))
    x, y = rng.integers(4, 14, 2)
    box = [x, y, x + 20, y + 20]
    draw = ImageDraw.Draw(made)
    (draw.ellipse if shape == "circle" else draw.rectangle)(box, fill=COLOURS[colour])
    return made


def things(count: int) -> list[tuple[str, str]]:
    """So many pairs of a shape and a colour, in turn."""
    return [(SHAPES[i % 2], [*COLOURS][i % 3]) for i in range(count)]


@maker("photos")
def _photos(path: Path) -> None:
    rng = np.random.default_rng(0)
    for i, (shape, colour) in enumerate(things(48)):
        (path / shape).mkdir(parents=True, exist_ok=True)
        picture(shape, colour, rng).save(path / shape / f"{i}.jpg")


@maker("kinds")
def _kinds(path: Path) -> None:
    """Pictures in six folders of their class."""
    rng = np.random.default_rng(20)
    for i, (shape, colour) in enumerate(things(96)):
        place = path / f"{colour} {shape}"
        place.mkdir(parents=True, exist_ok=True)
        picture(shape, colour, rng).save(place / f"{i}.jpg")


@maker("parts")
def _parts(path: Path) -> None:
    """The same in folders train and test."""
    rng = np.random.default_rng(21)
    for i, (shape, colour) in enumerate(things(600)):
        place = path / ("train", "test")[i // 400] / shape
        place.mkdir(parents=True, exist_ok=True)
        picture(shape, colour, rng).save(place / f"{i}.jpg")


@maker("few.csv")
def _few(path: Path) -> None:
    table(path, [{"path": f"photos/{shape}/{i}.jpg", "label": shape} for i, (shape, _) in enumerate(things(12))])


@maker("images.npy")
def _images(path: Path) -> None:
    rng = np.random.default_rng(1)
    np.save(path, np.stack([np.asarray(picture(*thing, rng, (32, 32))) for thing in things(48)]))


@maker("scenes")
def _scenes(path: Path) -> None:
    from nearfar.cli import main

    assert main(["data", "export", "street", "--out", str(path), "--scenes", "6", "--size", "32"]) == 0


@maker("pairs.csv")
def _pairs(path: Path) -> None:
    rng = np.random.default_rng(2)
    place = path.parent / "pictures"
    place.mkdir(exist_ok=True)
    rows = []
    for i, (shape, colour) in enumerate(things(48)):
        picture(shape, colour, rng).save(place / f"{i}.png")
        rows.append({"image": f"pictures/{i}.png", "caption": f"a {colour} {shape} on paper"})
    table(path, rows)


@maker("captioned")
def _captioned(path: Path) -> None:
    """Two shards as img2dataset writes them."""
    rng = np.random.default_rng(11)
    path.mkdir()
    for shard in range(2):
        with tarfile.open(path / f"{shard:05}.tar", "w") as archive:
            for i, (shape, colour) in enumerate(things(24)):
                made = io.BytesIO()
                picture(shape, colour, rng, (64, 48)).save(made, "JPEG")
                members = {"jpg": made.getvalue(), "txt": f"a {colour} {shape}\none {shape} in {colour}".encode()}
                for ending, content in members.items():
                    told = tarfile.TarInfo(f"{24 * shard + i:09}.{ending}")
                    told.size = len(content)
                    archive.addfile(told, io.BytesIO(content))


@maker("tiles.csv")
def _tiles(path: Path) -> None:
    rng = np.random.default_rng(3)
    place = path.parent / "tiles"
    place.mkdir(exist_ok=True)
    rows = []
    for i, (shape, colour) in enumerate(things(48)):
        picture(shape, colour, rng).save(place / f"{i}.png")
        where = {"longitude": 10 + i % 8, "latitude": 45 + i // 8}
        rows.append({"image": f"tiles/{i}.png", "caption": f"a {colour} {shape} from above", **where})
    table(path, rows)


@maker("changes.csv")
def _changes(path: Path) -> None:
    rng = np.random.default_rng(4)
    place = path.parent / "changed"
    place.mkdir(exist_ok=True)
    rows = []
    for i, (shape, colour) in enumerate(things(36)):
        other = [*COLOURS][(i + 1) % 3]
        picture(shape, colour, rng).save(place / f"{i}-before.png")
        picture(shape, other, rng).save(place / f"{i}-after.png")
        said = {"reference_caption": f"a {colour} {shape}", "edited_caption": f"a {other} {shape}"}
        places = {"reference": f"changed/{i}-before.png", "target": f"changed/{i}-after.png"}
        rows.append({**places, "change": f"make it {other}", **said})
    table(path, rows)


@maker("classes.txt")
def _classes(path: Path) -> None:
    lines(path, SHAPES)


def wave(count: int, period: float, rng: np.random.Generator) -> np.ndarray:
    return np.sin(2 * np.pi * np.arange(count) / period) + 0.2 * rng.standard_normal(count)


@maker("sensor.csv")
def _sensor(path: Path) -> None:
    """One long series of two channels."""
    rng = np.random.default_rng(5)
    first, second = wave(600, 24, rng), wave(600, 50, rng)
    table(path, [{"time": i, "flow": a, "heat": b} for i, (a, b) in enumerate(zip(first, second, strict=True))])


@maker("many.csv")
def _many(path: Path) -> None:
    """Series of the same channels, by their id."""
    rng = np.random.default_rng(6)
    rows = []
    for one in range(6):
        first, second = wave(80, 24, rng), wave(80, 50, rng)
        rows += [{"id": one, "time": i, "flow": first[i], "heat": second[i]} for i in range(80)]
    table(path, rows)


@maker("load.csv")
def _load(path: Path) -> None:
    rng = np.random.default_rng(7)
    table(path, [{"time": i, "load": value} for i, value in enumerate(10 + wave(700, 24, rng))])


def payments(count: int, rng: np.random.Generator, strange: float = 0.1) -> list[dict[str, Any]]:
    rows = []
    for _ in range(count):
        fraud = rng.random() < strange
        rows.append(
            {
                "amount": round(float(rng.lognormal(6 if fraud else 3)), 2),
                "hour": int(rng.integers(0, 6) if fraud else rng.integers(7, 22)),
                "country": str(rng.choice(["at", "de", "fr"])),
                "fraud": int(fraud),
            }
        )
    return rows


@maker("payments.csv")
def _payments(path: Path) -> None:
    table(path, payments(400, np.random.default_rng(8)))


@maker("new.csv")
def _new(path: Path) -> None:
    rows = payments(60, np.random.default_rng(9))
    table(path, [{name: value for name, value in row.items() if name != "fraud"} for row in rows])


@maker("people")
def _people(path: Path) -> None:
    """People of two circles of friends."""
    rng = np.random.default_rng(10)
    path.mkdir()
    nodes = [
        {
            "id": f"p{i}",
            "age": int(rng.integers(20, 60)),
            "town": ("Oslo", "Bergen")[i % 2],
            "label": ("buys", "")[i % 2],
        }
        for i in range(60)
    ]
    table(path / "nodes.csv", nodes)
    ends = [(int(a), int(a + 2 * rng.integers(1, 9)) % 60) for a in rng.integers(0, 60, 200)]
    table(path / "edges.csv", [{"source": f"p{a}", "target": f"p{b}"} for a, b in ends])


TOPICS = ("parcel", "refund", "invoice", "account", "colour", "size", "gift", "repair")


def question(topic: str, number: int) -> str:
    return f"{('how', 'when', 'why', 'where')[number % 4]} is the {topic} {('sent', 'made', 'kept')[number % 3]}"


def answer(topic: str, number: int) -> str:
    return f"every {topic} is {('sent', 'made', 'kept')[number % 3]} by hand within {2 + number % 5} days"


@maker("pairs.jsonl")
def _text_pairs(path: Path) -> None:
    lines(path, [{"query": question(t, i), "positive": answer(t, i)} for t in TOPICS for i in range(12)])


@maker("corpus.txt")
def _corpus(path: Path) -> None:
    lines(path, [answer(topic, i) for topic in TOPICS for i in range(15)])


@maker("questions.txt")
def _questions(path: Path) -> None:
    lines(path, [question(topic, 1) for topic in TOPICS])


@maker("shop")
def _shop(path: Path) -> None:
    """Passages, queries and judgements as BEIR's folders have them."""
    (path / "qrels").mkdir(parents=True)
    passages = [{"_id": f"d{i}", "text": answer(topic, n)} for i, (topic, n) in enumerate(_each())]
    lines(path / "corpus.jsonl", passages)
    lines(path / "queries.jsonl", [{"_id": f"q{i}", "text": question(t, 0)} for i, t in enumerate(TOPICS)])
    judged = [f"q{i}\td{i * 15}\t1" for i in range(len(TOPICS))]
    lines(path / "qrels" / "test.tsv", ["query-id\tcorpus-id\tscore", *judged])


def _each() -> list[tuple[str, int]]:
    return [(topic, n) for topic in TOPICS for n in range(15)]


@maker("bert")
def _bert(path: Path) -> None:
    """A pretrained encoder as transformers keeps it, though nobody pretrained it."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    spoken = {word for topic, n in _each() for word in (*question(topic, n).split(), *answer(topic, n).split())}
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(spoken)]
    BertTokenizerFast(vocab={word: row for row, word in enumerate(words)}).save_pretrained(path)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=32, **shape)).save_pretrained(path)


@maker("model")
def _model(path: Path) -> None:
    """A causal language model as transformers keeps it, of some words, untaught."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    words = [
        "the",
        "capital",
        "of",
        "is",
        "say",
        "something",
        "kind",
        "well",
        "done",
        "go",
        "away",
        "ok",
        "a",
        "b",
        "c",
        "d",
        "e",
        "f",
        "x",
        "y",
        "z",
    ]
    vocabulary = {word: row for row, word in enumerate(["<unk>", "<end>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = {"unk_token": "<unk>", "eos_token": "<end>", "bos_token": "<end>", "pad_token": "<end>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **ends).save_pretrained(path)
    shape = {"n_positions": 64, "n_embd": 16, "n_layer": 2, "n_head": 2}
    config = GPT2Config(vocab_size=len(vocabulary), bos_token_id=1, eos_token_id=1, pad_token_id=1, **shape)
    GPT2LMHeadModel(config).save_pretrained(path)


@maker("prompts.jsonl")
def _prompts(path: Path) -> None:
    names = [(a, b) for a in "abcd" for b in "xyz"]
    said = "the capital of {} is"
    rows = [{"prompt": said.format(a), "context": f"{said.format(a)} {b}", "answer": b} for a, b in names]
    lines(path, rows)


@maker("replies.jsonl")
def _replies(path: Path) -> None:
    good, bad = ["well done", "ok well", "kind ok"], ["go away", "go z", "away x"]
    rows = [
        {"prompt": f"say something kind {word}", "chosen": good[i % 3], "rejected": bad[(i + 1) % 3]}
        for i, word in enumerate("abcdef" * 6)
    ]
    lines(path, rows)


@maker("rated.jsonl")
def _rated(path: Path) -> None:
    replies = {"completions": ["well done", "ok", "go away"], "scores": [1.0, 0.4, -1.0]}
    lines(path, [{"prompt": f"say something kind {word}", **replies} for word in "abcdef" * 6])


@maker("rings.npz")
def _rings(path: Path) -> None:
    """Rings, half of them with a chord, in one archive."""
    sizes = [8 + i % 5 for i in range(32)]
    found, starts = [], [0]
    for i, size in enumerate(sizes):
        ring = [(a, (a + 1) % size) for a in range(size)] + [(0, size // 2)] * (i % 2)
        found += ring
        starts.append(len(found))
    edges = np.array(found).T
    np.savez(path, node_off=np.cumsum([0, *sizes]), edge_off=starts, edges=edges, y=np.arange(32) % 2)


@maker("molecules.csv")
def _molecules(path: Path) -> None:
    chains = ["C" * n + tail for n in range(2, 10) for tail in ("O", "N", "C(=O)O", "c1ccccc1", "Cl", "C#N")]
    table(path, [{"smiles": chain, "heavy": int("c1" in chain)} for chain in chains])


@maker("taken.csv")
def _taken(path: Path) -> None:
    rng = np.random.default_rng(11)
    rows = []
    for user in range(60):
        liked = rng.choice(20, 8, replace=False) + 20 * (user % 2)
        rows += [{"user": f"u{user}", "item": f"i{item}", "time": 100 * user + i} for i, item in enumerate(liked)]
    table(path, rows)


@maker("users.csv")
def _users(path: Path) -> None:
    table(path, [{"user": f"u{user}"} for user in range(5)])


def sound(pitch: float, rng: np.random.Generator, seconds: float = 1.2, rate: int = 8000) -> np.ndarray:
    time = np.arange(int(seconds * rate)) / rate
    made = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in (1, 2, 3))
    return (0.2 * made + 0.02 * rng.standard_normal(len(time))).astype(np.float32)


@maker("sounds")
def _sounds(path: Path) -> None:
    import soundfile

    rng = np.random.default_rng(12)
    for name, pitch in (("low", 180.0), ("high", 700.0)):
        (path / name).mkdir(parents=True)
        for i in range(16):
            soundfile.write(path / name / f"{i}.wav", sound(pitch * rng.uniform(0.9, 1.1), rng), 8000)


@maker("voices")
def _voices(path: Path) -> None:
    import soundfile

    rng = np.random.default_rng(13)
    for speaker in range(8):
        (path / f"speaker{speaker}").mkdir(parents=True)
        for i in range(4):
            said = sound(100 + 25 * speaker + 4 * rng.standard_normal(), rng, 2.0)
            soundfile.write(path / f"speaker{speaker}" / f"{i}.wav", said, 8000)


@maker("trials.txt")
def _trials(path: Path) -> None:
    same = [f"1 speaker{s}/0.wav speaker{s}/1.wav" for s in range(8)]
    lines(path, [*same, *(f"0 speaker{s}/0.wav speaker{(s + 3) % 8}/1.wav" for s in range(8))])


@maker("clips")
def _clips(path: Path) -> None:
    """Folders of frames of a square that moves to the right or downwards."""
    rng = np.random.default_rng(14)
    for i in range(12):
        place = path / ("right", "down")[i % 2] / f"clip{i}"
        place.mkdir(parents=True)
        at = rng.integers(2, 10, 2)
        for step in range(24):
            frame = Image.new("RGB", (32, 32), (210, 210, 200))
            x, y = (at[0] + step, at[1]) if i % 2 == 0 else (at[0], at[1] + step)
            ImageDraw.Draw(frame).rectangle([x, y, x + 6, y + 6], fill=(160, 40, 40))
            frame.save(place / f"{step:03d}.png")


@maker("skeletons.npz")
def _skeletons(path: Path) -> None:
    rng = np.random.default_rng(15)
    time = np.linspace(0, 6, 60)[None, :, None, None]
    kinds = np.arange(32) % 2
    swing = np.where(kinds[:, None, None, None] == 0, np.sin(time), np.sin(3 * time))
    x = rng.standard_normal((32, 1, 25, 3)) + 0.3 * swing + 0.01 * rng.standard_normal((32, 60, 25, 3))
    np.savez(path, x=x.astype(np.float32), y=kinds)


@maker("levels.csv")
def _levels(path: Path) -> None:
    rng = np.random.default_rng(16)
    place = path.parent / "leveled"
    place.mkdir(exist_ok=True)
    rows = []
    for i, (shape, colour) in enumerate(things(48)):
        picture(shape, colour, rng).save(place / f"{i}.png")
        rows.append({"path": f"leveled/{i}.png", "kind": shape, "shape": f"{colour} {shape}"})
    table(path, rows)


@maker("styles")
def _styles(path: Path) -> None:
    rng = np.random.default_rng(17)
    path.mkdir()
    for i in range(8):
        stripes = (np.arange(48) // (2 + i % 4)) % 2
        tile = np.broadcast_to(stripes[:, None, None], (48, 48, 3)) * rng.integers(60, 255, 3)
        Image.fromarray(tile.astype(np.uint8)).save(path / f"{i}.png")


@maker("inks.jsonl")
def _inks(path: Path) -> None:
    rng = np.random.default_rng(18)
    letters = {"a": [[0, 0], [1, 2], [2, 0], [1.5, 1]], "b": [[0, 2], [0, 0], [1, 0], [1, 1], [0, 1]]}
    rows = []
    for i in range(48):
        text = "".join(rng.choice(["a", "b"], 3))
        drawn = [np.add(letters[letter], (3 * place, 0)) for place, letter in enumerate(text)]
        strokes = [(each + 0.05 * rng.standard_normal(each.shape)).round(3).tolist() for each in drawn]
        rows.append({"text": text, "writer": f"w{i % 6}", "strokes": strokes})
    lines(path, rows)


@maker("problem.lp")
def _problem(path: Path) -> None:
    """A knapsack of several rows, small, and not solved without branching."""
    rng = np.random.default_rng(19)
    worth, weights = rng.integers(5, 40, 24), rng.integers(3, 30, (5, 24))
    goal = " + ".join(f"{w} x{i}" for i, w in enumerate(worth))
    rows = [
        f" c{r}: " + " + ".join(f"{w} x{i}" for i, w in enumerate(row)) + f" <= {int(row.sum() * 0.4)}"
        for r, row in enumerate(weights)
    ]
    names = " ".join(f"x{i}" for i in range(24))
    path.write_text("\n".join(["Maximize", f" obj: {goal}", "Subject To", *rows, "Binary", f" {names}", "End"]) + "\n")
