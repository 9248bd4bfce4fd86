"""The command classify: labels with probabilities from a run's vectors and a few labelled examples."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from nearfar import catalogue
from nearfar.cli.words import parse_own, writable
from nearfar.common.parsers import Parser
from nearfar.system import UsageError


def classify(argv: list[str]) -> int:
    parser = Parser(
        prog="nearfar classify",
        description="Label data by a classifier on a finished run's vectors. --labels fits one and keeps it with the "
        "run; without it the kept one is used. It is linear, and with --finetune the encoder learns too.",
    )
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("data", nargs="?", help="what to label, with -o; without it labelled data to fit on")
    parser.add_argument("--labels", help="labelled data to fit on: class folders, or a table of files and labels")
    parser.add_argument("-o", "--out", type=Path, help="a .csv or .parquet file for id, label and probability")
    parser.add_argument("--all", action="store_true", help="write the probability of every class")
    parser.add_argument(
        "--finetune", action="store_true", help="learn the encoder too, a copy of it that is kept beside the run's own"
    )
    parser.add_argument("--epochs", type=int, help="of --finetune: passes over the labelled examples (20)")
    parser.add_argument("--rate", type=float, help="of --finetune: learning rate of the encoder (1e-4)")
    parser.add_argument("--seed", type=int, default=0, help="of the folds that accuracy is measured on")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    options, words = parse_own(parser, argv)
    if options.data is not None and options.labels is None and options.out is None:
        options.data, options.labels = None, options.data  # nearfar classify RUN labels.csv
    if options.data is None and options.labels is None:
        raise UsageError("give --labels to fit a classifier, data to label, or both")
    if (options.data is None) != (options.out is None):
        raise UsageError("data to label and -o for where to write go together")
    if options.finetune and options.labels is None:
        raise UsageError("--finetune learns from labelled data; give --labels")
    if (options.epochs, options.rate) != (None, None) and not options.finetune:
        raise UsageError("--epochs and --rate are of --finetune")
    if options.out is not None:
        writable(options.out, options.overwrite, (".csv", ".parquet"))
    from nearfar import workflow
    from nearfar.cli.options import loader_options
    from nearfar.cli.verbs import write_columns
    from nearfar.system import require
    from nearfar.workflow import classifying, finetuning

    entry, method, run = workflow.load_run(options.run)
    require(method, "embeds", entry.slug)
    given = loader_options(entry, words, "nearfar classify")

    def read(source: str, **more: str) -> object:
        return workflow.run_data(entry, workflow.like_the_run(run, source, {**more, **given}))

    if options.labels is not None:
        beside = _beside(entry.field, options.labels, options.data)
        labelled, beside_it = read(options.labels, **beside), ""
        if options.finetune:
            settings = {"epochs": options.epochs, "rate": options.rate}
            settings = {name: value for name, value in settings.items() if value is not None}
            found, linear = finetuning.fit_tuned(
                method, labelled, seed=options.seed, say=lambda line: print(line, file=sys.stderr), **settings
            )
            path = finetuning.keep_tuned(run, method, found)
            beside_it = f" ({linear:.1%} by linear classifiers of the same)"
        else:
            x, y = classifying.labelled_vectors(method, labelled)
            found = classifying.fit_classifier(x, y, seed=options.seed)
            path = classifying.keep_classifier(run, found)
            (run.path / finetuning.WEIGHTS).unlink(missing_ok=True)
        print(
            f"{len(found.classes)} classes from {found.examples:,} examples; of unseen ones {found.accuracy:.1%} are "
            f"told right{beside_it}, and probabilities are off by {found.calibration:.1%} on average; kept in {path}",
            file=sys.stderr,
        )
    else:
        found = classifying.kept_classifier(run)
        finetuning.with_kept_weights(run, method, found)
    if options.data is not None:
        columns = classifying.classified(method, read(options.data), found, every=options.all)
        write_columns(options.out, columns)
        print(f"{len(columns['id']):,} examples labelled in {options.out}", file=sys.stderr)
    return 0


def _beside(field: str, labels: str, data: str | None) -> dict[str, str]:
    """Where else files that a table of labels names may be: in the folder to label, by which ``embed`` names them."""
    takes = inspect.signature(catalogue.field(field).load).parameters
    named = data is not None and Path(data).is_dir() and Path(labels).is_file()
    return {"root": str(Path(str(data)).resolve())} if named and "root" in takes else {}
