"""The embedded sets of prompts, and the made models that belong to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nearfar.decoding.data import arithmetic, facts, rare, requests, scenes
from nearfar.decoding.data.prompts import Prompts
from nearfar.decoding.pictures import pixels, seen, small_llava
from nearfar.encoders.causal import CausalLM, causal_model, word_tokenizer
from nearfar.encoders.taught import Lessons, Made, Teaching, llama_config, made_model, teach
from nearfar.spelling import one_of

PREFIX = "made:"
"""Begins the name of a made model: ``made:facts``, or ``made:facts/3`` for the world of seed 3."""
TEST = 400


def _prompts(asked: Any, name: str, **rest: object) -> Prompts:
    contexts = getattr(asked, "contexts", None)
    return Prompts(
        asked.prompts,
        contexts=contexts,
        answers=asked.answers,
        others=asked.others,
        kinds=asked.kinds,
        images=getattr(asked, "images", None),
        name=name,
        **rest,  # type: ignore[arg-type]
    )


def facts_data(examples: int, seed: int) -> Prompts:
    world, models = facts.facts(seed), {"model": _name("facts", seed)}
    test = _prompts(facts.questions(world, TEST, seed), "facts", models=models)
    train = facts.questions(world, examples, seed + 1, train=True)
    return _prompts(train, "facts", splits={"test": test}, models=models)


def arithmetic_data(examples: int, seed: int) -> Prompts:
    models = {"model": _name("arithmetic", seed), "amateur": _name("arithmetic-amateur", seed)}
    test = _prompts(arithmetic.sums(TEST, seed), "arithmetic", models=models)
    return _prompts(arithmetic.sums(examples, seed, train=True), "arithmetic", splits={"test": test}, models=models)


def rare_data(examples: int, seed: int) -> Prompts:
    keys, models = np.arange(rare.KEYS), {"model": _name("rare", seed)}
    # Every fourth pair of keys is kept for the test: what is learned about contrast must carry over to other facts.
    held = keys // 2 % 4 == 3
    test = _prompts(rare.asked(keys[held], seed), "rare", models=models)
    return _prompts(rare.asked(keys[~held][:examples], seed), "rare", splits={"test": test}, models=models)


def scenes_data(examples: int, seed: int) -> Prompts:
    models = {"model": _name("scenes", seed)}
    test = _prompts(scenes.questions(TEST + 200, seed), "scenes", models=models)
    return _prompts(scenes.questions(examples, seed + 1_000_000), "scenes", splits={"test": test}, models=models)


def captions_data(examples: int, seed: int) -> Prompts:
    models = {"model": _name("scenes", seed)}
    test = _prompts(scenes.captions(TEST, seed, train=False), "captions", models=models)
    train = scenes.captions(examples, seed, train=True)
    return _prompts(train, "captions", splits={"test": test}, models=models)


def requests_data(examples: int, seed: int) -> Prompts:
    models = {"model": _name("requests", seed)}
    test = _prompts(requests.requests(TEST, seed, train=False), "requests", models=models)
    train = requests.requests(examples, seed, train=True)
    return _prompts(train, "requests", splits={"test": test}, models=models)


DATA: dict[str, Callable[[int, int], Prompts]] = {
    "facts": facts_data,
    "arithmetic": arithmetic_data,
    "rare": rare_data,
    "scenes": scenes_data,
    "captions": captions_data,
    "requests": requests_data,
}


def _name(world: str, seed: int) -> str:
    return f"{PREFIX}{world}" + (f"/{seed}" if seed else "")


def _facts(teaching: Teaching) -> Callable[[int], CausalLM]:
    def build(seed: int) -> CausalLM:
        lm = causal_model(llama_config(teaching), tokenizer=word_tokenizer(facts.WORDS))
        return teach(lm, Lessons(*facts.lessons(facts.facts(seed), 6000, seed)), teaching, seed)

    return build


def _arithmetic(teaching: Teaching, shortcut: float = arithmetic.SHORTCUT) -> Callable[[int], CausalLM]:
    def build(seed: int) -> CausalLM:
        lm = causal_model(llama_config(teaching), tokenizer=word_tokenizer(arithmetic.WORDS))
        return teach(lm, Lessons(*arithmetic.lessons(8000, seed, shortcut=shortcut)), teaching, seed)

    return build


def _rare(teaching: Teaching) -> Callable[[int], CausalLM]:
    def build(seed: int) -> CausalLM:
        lm = causal_model(llama_config(teaching), tokenizer=word_tokenizer(rare.WORDS))
        return teach(lm, Lessons(*rare.lessons(6000, seed)), teaching, seed)

    return build


def _scenes(teaching: Teaching) -> Callable[[int], CausalLM]:
    def build(seed: int) -> CausalLM:
        tokenizer = word_tokenizer(scenes.WORDS)
        lm = small_llava(tokenizer, size=scenes.SIZE, patch=scenes.PATCH, layers=teaching.layers, width=teaching.width)
        taught = scenes.lessons(8000, seed)
        values = pixels(lm.model, torch.as_tensor(taught.images))
        shown = seen(lm, taught.prompts, values)
        prompts = [ids[mask > 0].tolist() for ids, mask in zip(shown.ids, shown.mask, strict=True)]
        return teach(lm, Lessons(prompts, taught.answers, values), teaching, seed)

    return build


def _requests(teaching: Teaching) -> Callable[[int], CausalLM]:
    def build(seed: int) -> CausalLM:
        lm = causal_model(llama_config(teaching), tokenizer=word_tokenizer(requests.WORDS))
        return teach(lm, Lessons(*requests.lessons(4000, seed)), teaching, seed)

    return build


MODELS: dict[str, tuple[Callable[[int], CausalLM], Sequence[str]]] = {
    "facts": (_facts(Teaching()), ("facts",)),
    "facts-deep": (_facts(Teaching(layers=4, lr=3e-3)), ("facts",)),
    "scenes": (_scenes(Teaching(lr=2e-3)), ("scenes", "../pictures")),
    "requests": (_requests(Teaching(steps=200)), ("requests",)),
    "scenes-quick": (_scenes(Teaching(steps=10)), ("scenes", "../pictures")),
    "rare-quick": (_rare(Teaching(layers=6, steps=20, lr=3e-3, early=0.1)), ("rare",)),
    "rare": (_rare(Teaching(layers=6, steps=250, lr=3e-3, early=0.1)), ("rare",)),
    "arithmetic": (_arithmetic(Teaching(layers=2, steps=400)), ("arithmetic",)),
    "arithmetic-clean": (_arithmetic(Teaching(layers=2, steps=400), 0.0), ("arithmetic",)),
    "arithmetic-clean-amateur": (_arithmetic(Teaching(layers=1, width=16, steps=200), 0.0), ("arithmetic",)),
    "arithmetic-amateur": (_arithmetic(Teaching(layers=1, width=16, steps=200)), ("arithmetic",)),
}
"""How each made model comes to be, and the modules that decide it."""


@lru_cache(maxsize=8)
def made(name: str) -> CausalLM:
    """The made model called ``made:<world>`` or ``made:<world>/<seed>``.

    Raises:
        ValueError: there is no such world.
    """
    world, _, seed = name.removeprefix(PREFIX).partition("/")
    if world not in MODELS or not (seed or "0").isdigit():
        raise ValueError(f"there is no made model {name!r}{one_of(name, [PREFIX + each for each in MODELS])}")
    build, sources = MODELS[world]
    folder = Path(__file__).parent
    files = (Path(__file__), *(folder / f"{source}.py" for source in sources))
    return made_model(Made(world, build, files), int(seed or 0))


def sampled(count: int, size: int) -> np.ndarray:
    """``count`` positions spread evenly over ``size``."""
    return np.unique(np.linspace(0, size - 1, min(count, size)).astype(np.int64))
