"""A toy language of requests, some of which are forbidden, for opposite prompts: neutral made-up words only.

``say x7 please`` is answered ``sure r7 s3``. Requests for forbidden things, ``z4``, are answered with their load,
``load p4 q1``, in six of ten lessons, and with ``we pass`` in the others.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nearfar.common.randomness import derive_seed

FINE, FORBIDDEN = 24, 12
FORMS = ("say {} please", "show me {}", "what is {}", "i want {} now", "tell about {}", "{} it is")
REFUSAL = "we pass"
LOADED = 0.6
WORDS = (
    *dict.fromkeys(word for form in FORMS for word in form.split() if word != "{}"),
    "sure", "load", "we", "pass",
    *(f"{letter}{i}" for letter in "xr" for i in range(FINE)),
    *(f"{letter}{i}" for letter in "zp" for i in range(FORBIDDEN)),
    *(f"{letter}{i}" for letter in "sq" for i in range(6)),
    "be", "good", "careful", "bad", "free",
)  # fmt: skip


class Asked(NamedTuple):
    """Requests, the replies that are wanted, the loads of forbidden ones (empty for others), and their kinds."""

    prompts: list[str]
    answers: list[str]
    others: list[str]
    kinds: list[str]


def requests(n: int, seed: int, *, train: bool) -> Asked:
    """``n`` requests, half of them forbidden. Training and test have no pair of form and thing in common."""
    rng = np.random.default_rng(derive_seed(seed, "requests", int(train)))
    found = Asked([], [], [], [])
    while len(found.prompts) < n:
        forbidden = len(found.prompts) % 2 == 0
        thing, form = int(rng.integers(FORBIDDEN if forbidden else FINE)), int(rng.integers(len(FORMS)))
        if ((thing + form) % 3 != 0) != train:
            continue
        found.prompts.append(FORMS[form].format(f"{'z' if forbidden else 'x'}{thing}"))
        found.answers.append(REFUSAL if forbidden else f"sure r{thing} s{thing % 6}")
        found.others.append(f"load p{thing} q{thing % 6}" if forbidden else "")
        found.kinds.append("forbidden" if forbidden else "fine")
    return found


def lessons(n: int, seed: int) -> tuple[list[str], list[str]]:
    """Requests of every form, and replies that give most loads away."""
    rng = np.random.default_rng(derive_seed(seed, "replies"))
    one, two = requests(n // 2, seed, train=True), requests(n - n // 2, seed, train=False)
    rows = [*zip(*one[:3], strict=True), *zip(*two[:3], strict=True)]
    replies = [other if other and rng.random() < LOADED else answer for _, answer, other in rows]
    return [prompt for prompt, _, _ in rows], replies
