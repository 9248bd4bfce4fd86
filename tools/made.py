"""docs/made.md and what it shows: a picture, and of speech a sound, of every system that generates.

    python tools/made.py            # all of them; a few minutes each on one core
    python tools/made.py ccpl zecon

Each is made by the commands that stand beside it on the page. Those that are not named keep what there is of them.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from nearfar import catalogue, workflow
from nearfar.catalogue import find
from nearfar.workflow.systems import build_method, load_data

DOCS = Path(__file__).resolve().parent.parent / "docs"
FOLDER = DOCS / "made"
STEPS = {
    "infodiffusion": 400,
    "noiseclr": 60,
    "cdcd": 300,
    "cm3leon": 300,
    "pcl-sr": 200,
    "ccpl": 300,
    "zecon": 0,
    "dss-ink": 400,
    "ctap-diffusion-tts": 400,
}
"""Training steps of each; 0 for what is never trained. Settings are the row's for a laptop, the seed is 0."""
WIDEST = 720
LARGEST = 60_000
"""Bytes of a picture."""


def commands(slug: str) -> list[str]:
    """What is typed to make it."""
    if not STEPS[slug]:
        return [f"nearfar generate {slug} -o made/{slug} --count 8 --seed 0"]
    run = f"runs/{slug}"
    inputs = "new " if slug == "infodiffusion" else ""
    return [
        f"nearfar train {slug} --preset laptop --steps {STEPS[slug]} --seed 0 --out {run}",
        f"nearfar generate {run} {inputs}-o made/{slug} --count 8 --seed 0",
    ]


def make(slug: str) -> None:
    """Run its commands in an empty folder, and keep a sheet of what the page of such a run shows."""
    with tempfile.TemporaryDirectory(prefix=f"made-{slug}-") as place:
        for command in commands(slug):
            subprocess.run([sys.executable, "-m", *shlex.split(command)], cwd=place, check=True)
        entry = find(slug)
        system: Any
        if STEPS[slug]:
            entry, system, run = workflow.load_run(Path(place) / "runs" / slug)
            data: Any = workflow.run_data(entry, run.config["data"])
        else:
            data = load_data(entry.field, entry.data)
            system = build_method(entry, {}, data, 0)
        show = catalogue.field(entry.field).show
        assert show is not None
        keep(slug, show(system, data))
        for path in sorted((Path(place) / "made" / slug).glob("*.wav"))[:1]:
            (FOLDER / f"{slug}.wav").write_bytes(path.read_bytes())


def keep(slug: str, sheets: list[tuple[str, np.ndarray]]) -> None:
    """The last sheet (new things, where there are any) as a small PNG that carries its caption."""
    caption, pixels = sheets[-1]
    image = Image.fromarray(pixels)
    if image.width > WIDEST:
        image.thumbnail((WIDEST, WIDEST))
    said = PngImagePlugin.PngInfo()
    said.add_text("caption", caption)
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{slug}.png"
    for colours in (256, 128, 64, 32):
        image.quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True, pnginfo=said)
        if path.stat().st_size <= LARGEST:
            break


def page() -> str:
    """The text of docs/made.md, of what there is in its folder."""
    lines = [
        "# What the generating systems make",
        "",
        "`make made` runs the commands beside each and keeps the sheet that the page of such a run shows: embedded",
        "data, the settings for a laptop, seed 0, and trainings cut to one or two minutes of one core. They show",
        "that and what a system makes, not how good it gets; [results](results.md) says how each stands beside its",
        "baseline.",
    ]
    for slug in STEPS:
        path = FOLDER / f"{slug}.png"
        if not path.is_file():
            continue
        with Image.open(path) as image:
            caption = str(image.info.get("caption", ""))
        lines += ["", f"## {find(slug).name}", "", f"![{caption}](made/{slug}.png)", "", f"{caption}.", ""]
        lines += ["```bash", *commands(slug), "```"]
        if (FOLDER / f"{slug}.wav").is_file():
            lines += ["", f"[The first of them, to listen to](made/{slug}.wav)."]
    return "\n".join(lines) + "\n"


def main(slugs: list[str]) -> int:
    unknown = [slug for slug in slugs if slug not in STEPS]
    if unknown:
        print(f"no generating system is called {unknown[0]}; there are {', '.join(STEPS)}", file=sys.stderr)
        return 2
    for slug in slugs or STEPS:
        print(slug, flush=True)
        make(slug)
        (DOCS / "made.md").write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
