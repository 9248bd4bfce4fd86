"""What decoding adds to the command line: several decoders in one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nearfar.common.parsers import Parser
from nearfar.system import Command, UsageError

PLAIN = "greedy"


def decodings(argv: Sequence[str]) -> int:
    """Several decoders on the same prompts, in one table."""
    import json

    from nearfar.cli.words import parse_own

    parser = Parser(
        prog="nearfar decodings",
        description="Compare decoders on the same prompts: accuracy where answers are known, agreement with the first, "
        "tokens per second. Further arguments are settings of every decoder that has them, such as "
        "--writing.max_new_tokens 64 or --weight 0.5.",
    )
    parser.add_argument("decoders", nargs="+", help="greedy, slugs of decoders that need no training, folders of runs")
    parser.add_argument("--model", help="the language model of all; the prompts' own when not given")
    parser.add_argument("--prompts", help="a table or text file; the embedded data of the first slug otherwise")
    parser.add_argument("--seed", type=int, default=0, help="of drawn words")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options, words = parse_own(parser, argv)
    from nearfar.cli.tables import table
    from nearfar.decoding.evaluation import compared

    data, found = _opened(options, words)
    rows = compared(found, data, seed=options.seed)
    print(json.dumps(rows) if options.json else f"{data.name}\n\n{table(rows, '{:.3f}'.format)}")
    return 0


def _opened(options: Any, words: list[str]) -> tuple[Any, dict[str, Any]]:
    """The prompts, and every decoder by its name."""
    from pathlib import Path

    from nearfar import workflow
    from nearfar.catalogue import ENTRIES, find
    from nearfar.decoding.method import Decoder

    slugs = {entry.slug for entry in ENTRIES}
    named = [find(name) for name in options.decoders if name in slugs and not Path(name).is_dir()]
    for entry in named:
        if entry.field != "decoding" or entry.trains:
            raise UsageError(
                f"{entry.slug} is trained first: nearfar train {entry.slug}, then give the run's folder"
                if entry.field == "decoding"
                else f"{entry.slug} is no decoder"
            )
    data = workflow.load_data("decoding", options.prompts or (named[0].data if named else None))
    model = options.model or data.facts.get("model")
    given = _settings(words)
    unused = {name.partition(".")[0] for name in given}
    found: dict[str, Any] = {}
    for name in options.decoders:
        if name == PLAIN:
            cls: type = Decoder
        elif name in slugs and not Path(name).is_dir():
            cls = find(name).load()
        elif Path(name).is_dir():
            found[name] = workflow.load_run(name)[1]
            continue
        else:
            raise UsageError(f"{name} is neither greedy, a decoder's slug nor a run's folder; nearfar list shows all")
        found[name] = _made(cls, {**given, "model": model}, data)
        unused -= set(found[name].config)
    if unused:
        raise UsageError(f"none of {', '.join(options.decoders)} has a setting {sorted(unused)[0]!r}")
    return data, found


def _settings(words: list[str]) -> dict[str, str]:
    """``--name value`` and ``--name=value`` as a mapping."""
    found: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if not name.startswith("--"):
            raise UsageError(f"what is {word!r}? Settings are given as --name value")
        found[name[2:].replace("-", "_")] = value if equals else next(rest, "true")
    return found


def _made(cls: type, given: dict[str, Any], data: Any) -> Any:
    """A decoder with those settings that it has, and what the prompts bring along."""
    import inspect

    from jsonargparse import ArgumentParser

    from nearfar.runs.configure import construct, fill_facts

    own = set(inspect.signature(cls.__init__).parameters)  # type: ignore[misc]
    models: dict[str, Any] = {name: given[name] for name in ("model", "amateur") if name in given and name in own}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(cls, skip={"model", "amateur"})
    words = [
        f"--{name}={value}" for name, value in given.items() if name.partition(".")[0] in own and name not in models
    ]
    try:
        parsed = parser.parse_args(words)
    except Exception as error:
        raise UsageError(" ".join(str(error).split()).removeprefix("error: ")) from error
    arguments = parser.instantiate_classes(parsed).as_dict()
    return construct(cls, fill_facts(cls, {**arguments, **models}, data.facts))


COMMANDS = {"decodings": Command("compare decoders of language models on the same prompts", decodings)}
