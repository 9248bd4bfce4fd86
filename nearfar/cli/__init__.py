"""The ``nearfar`` command. This module must stay light: ``nearfar --help`` and ``nearfar list`` import no torch."""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import re
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

from nearfar.common.rehearsal import VARIABLE, rehearsing
from nearfar.spelling import meant
from nearfar.system import Command, UsageError

COMMANDS = {
    "list": ("lookup", "every method, its field, paper and the verdict of its reproduction"),
    "show": ("lookup", "one method: its five parts, its settings, what was measured"),
    "train": ("train", "train a method on your data or on an embedded set"),
    "resume": ("train", "continue an interrupted run, to the bit"),
    "evaluate": ("measure", "measure finished runs beside their untrained selves, and systems that need no training"),
    "embed": ("measure", "turn data into vectors with a finished run"),
    "neighbours": ("vectors", "find the nearest vectors of others, exactly or by an index on disk"),
    "classify": ("classify", "label data by a run's vectors and labelled examples, with probabilities"),
    "export": ("export", "write a run for other programs: ONNX, torch.export, torchvision, timm, transformers"),
    "runs": ("runs", "list what was trained, filter and sort it, and remove it"),
    "compare": ("compare", "train several systems over several seeds; differences with intervals"),
    "reproduce": ("measure", "re-test a paper's claim at laptop scale"),
    "report": ("measure", "write a run's page"),
    "explore": ("explore", "look at a run's examples in Embedding Atlas, from a parquet that any viewer opens"),
    "generate": ("verbs", "let a finished run, or a system that needs no training, make something"),
    "score": ("verbs", "rate every example by a finished run"),
    "demo": ("demo", "three minutes on real handwriting: train, measure, a page to look at"),
    "doctor": ("lookup", "what this machine and installation can do"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code.

    0 done; 2 wrong input; 74 the disk did not take what was to be kept; 75 stopped by SIGUSR1, run again; 130 stopped
    by Ctrl-C; 143 stopped by SIGTERM; 1 anything else.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if words[0] == "--version":
        from nearfar import __version__

        print(f"nearfar {__version__}")
        return 0
    name, rest = words[0], words[1:]
    if name in ("train", "compare", "demo") and rehearsing():
        print(f"nearfar: a rehearsal, by {VARIABLE}; what is trained now teaches nothing", file=sys.stderr)
    if "GOMP_SPINCOUNT" not in os.environ:
        # Threads that spin while they wait take the cores from whatever else runs: on a machine that is busy by half
        # a run takes three times as long. OpenMP reads this once, when torch is loaded.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(Escaping(sys.stdout)):
            warnings.showwarning = _say_warning
            return int(_command(name, rest)() or 0)
    except SystemExit as stop:
        if getattr(stop, "message", None):  # a run that was asked to stop
            return _fail(str(stop), int(stop.code or 0))
        return int(stop.code or 0) if isinstance(stop.code, int | None) else 2
    except KeyboardInterrupt as stop:
        return _fail(str(stop) or "interrupted; a run with a checkpoint can be continued with `nearfar resume`", 130)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        if os.environ.get("NEARFAR_TRACEBACK"):
            raise
        return _fail(_sentence(error), _code(error))


class Escaping(io.TextIOBase):
    """Standard output, on which texts of files (labels, names, settings) are harmless to a terminal.

    Control characters other than ends of lines and tabs become escapes.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        self.stream.write(escaped(text))
        return len(text)

    def flush(self) -> None:
        self.stream.flush()

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stream.encoding


def escaped(text: str) -> str:
    """``text`` with its control characters, but for ends of lines and tabs, as escapes."""
    if text.isprintable():
        return text
    from nearfar.sources.skipped import plain

    return "".join(part if part in "\n\t" else plain(part) for part in re.split(r"([\n\t])", text))


def _command(name: str, rest: list[str]) -> Callable[[], int | None]:
    """What a command's words ask for, of the library's own commands or of a field's."""
    if name in COMMANDS:
        module = importlib.import_module(f"nearfar.cli.{COMMANDS[name][0]}")
        function = getattr(module, {"list": "list_methods"}.get(name, name))
        return lambda: function(rest)
    from nearfar.cli.fields import choose, commands

    known = commands()
    two = f"{name} {rest[0]}" if rest else name
    for words, after in ((two, rest[1:]), (name, rest)):
        if words in known:
            return lambda: choose(words, known[words], after)
    inside = [words.partition(" ")[2] for words in known if words.startswith(f"{name} ")]
    if inside:
        if rest and rest[0] in ("-h", "--help"):
            return lambda: print(_table({w: _of_fields(c) for w, c in known.items() if w.startswith(f"{name} ")}))
        raise UsageError(f"nearfar {name} takes one of {', '.join(inside)}")
    every = [*COMMANDS, *dict.fromkeys(words.partition(" ")[0] for words in known)]
    raise UsageError(f"there is no command {name!r}{meant(name, every, most=1) or '; there are ' + ', '.join(every)}")


def _table(rows: Mapping[str, str]) -> str:
    width = max(map(len, rows))
    return "\n".join(f"  {name:<{width}}  {text}" for name, text in rows.items())


def _help() -> str:
    from nearfar.cli.fields import commands

    of_fields = {words: _of_fields(found) for words, found in commands().items()}
    lines = [_table({**{name: text for name, (_, text) in COMMANDS.items()}, **of_fields})]
    return "\n".join(
        [
            "usage: nearfar <command> [arguments]",
            "",
            "Learns representations by contrast: it pulls views of the same thing near and pushes the rest far.",
            "",
            *lines,
            "",
            "nearfar <command> --help shows a command's arguments; nearfar train <method> --help a method's settings.",
            "Set NEARFAR_TRACEBACK=1 to see where an error came from, NEARFAR_REHEARSAL=1 to try commands out: every",
            "training is then cut to the smallest there is.",
        ]
    )


def _of_fields(claims: Sequence[tuple[str, Command]]) -> str:
    """What a command does: its help where one field has it, otherwise those of its fields."""
    if len({command.help for _, command in claims}) == 1:
        return claims[0][1].help
    return "; ".join(f"{field}: {command.help}" for field, command in claims)


def _code(error: Exception) -> int:
    if type(error).__name__ == "StorageError" or _full(error):
        return 74
    return 2 if _is_input(error) else 1


def _full(error: BaseException) -> bool:
    """Whether the disk had no room, whatever the library that was writing made of it."""
    known = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in known:
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _is_input(error: Exception) -> bool:
    names = {cls.__name__ for cls in type(error).__mro__}
    ours = {"UsageError", "RunError", "CheckpointError", "ArgumentError"}
    return bool(names & ours) or isinstance(error, ValueError | TypeError | LookupError | OSError | ImportError)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and _full(error):
        from nearfar.common.files import reason

        what = f"{error.filename} was not written" if error.filename else "the disk took no more"
        return f"{what}: {reason(error)}; what was there before is as it was"
    text = error.args[0] if isinstance(error, LookupError) and error.args else error
    return " ".join(str(text).split()) or type(error).__name__


def _say_warning(message: Warning | str, category: type[Warning], *where: Any, **kwargs: Any) -> None:
    """A warning for people: one sentence, without the line of code it comes from."""
    print(f"nearfar: {escaped(' '.join(str(message).split()))}", file=sys.stderr)


def _fail(message: str, code: int) -> int:
    print(f"nearfar: {escaped(message)}", file=sys.stderr)
    return code
