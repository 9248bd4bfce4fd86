"""Language models that answer prompts in words: on this machine, behind a server, or from answers that were kept.

=============================  =======================================================================
a causal model of one's own    :class:`LocalModel`: a folder, ``hf:<model>``, or a name of ``causal_model``
a server                       :class:`Server`: any address with OpenAI's ``/chat/completions``
answers of an earlier time     :class:`Kept`: a file of prompts and answers, which may grow from a model
=============================  =======================================================================

What needs a language model takes any of them, or a name that :func:`language_model` makes one of. An answer that cost
money or hours should pass through a :class:`Kept` file: the same prompts are then answered from it, by nobody.
"""

from __future__ import annotations

import abc
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from nearfar.common.files import appending, read_whole
from nearfar.common.memory import room
from nearfar.common.randomness import derive_seed
from nearfar.encoders.causal import CausalLM, causal_model, left_padded, token_rows

__all__ = ["Answering", "Kept", "LanguageModel", "LocalModel", "Server", "language_model"]

MOST_BYTES = 16 << 20
"""Bytes of one answer of a server that are read."""


@dataclass(frozen=True)
class Answering:
    """How answers are drawn.

    Args:
        temperature: of the words, at least 0; 0 takes the likeliest word at each place.
        top_p: words beyond this share of the probability are never drawn, in (0, 1].
        most: tokens of an answer at most.
    """

    temperature: float = 0.7
    top_p: float = 0.9
    most: int = 128

    def __post_init__(self) -> None:
        if self.temperature < 0 or not 0 < self.top_p <= 1 or self.most < 1:
            raise ValueError(
                "answering.temperature must be at least 0, answering.top_p in (0, 1] and answering.most at least 1; "
                f"got {self.temperature}, {self.top_p} and {self.most}"
            )


class LanguageModel(abc.ABC):
    """Prompts in, answers out."""

    @abc.abstractmethod
    def answers(self, prompts: Sequence[str], how: Answering = Answering(), *, seed: int = 0) -> list[str]:
        """An answer to each prompt, in order. A prompt that is there twice is answered twice."""


class LocalModel(LanguageModel):
    """A causal language model in transformers' format. Instructed models get their own chat template around a prompt.

    What is drawn depends on the seed, the prompts and how they fall into batches.

    Args:
        model: what :func:`nearfar.encoders.causal.causal_model` takes.
        batch_size: prompts that are answered together.
    """

    def __init__(self, model: str | Path | CausalLM, *, batch_size: int = 16) -> None:
        self.lm = causal_model(model)
        self.batch_size = batch_size

    @torch.no_grad()
    def answers(self, prompts: Sequence[str], how: Answering = Answering(), *, seed: int = 0) -> list[str]:
        model, tokenizer = self.lm
        asked = [self.asked(prompt) for prompt in prompts]
        drawing: dict[str, Any] = {"do_sample": False}
        if how.temperature > 0:
            drawing = {"do_sample": True, "temperature": how.temperature, "top_p": how.top_p, "top_k": 0}
        found: list[str] = []
        for start in range(0, len(asked), self.batch_size):
            part = asked[start : start + self.batch_size]
            rows = token_rows(self.lm, part, new=how.most, special=tokenizer.chat_template is None)
            ids, mask = left_padded(rows, tokenizer.pad_token_id, device=model.device)
            with torch.random.fork_rng():
                torch.manual_seed(derive_seed(seed, "answers", start))
                written = model.generate(
                    input_ids=ids,
                    attention_mask=mask,
                    max_new_tokens=how.most,
                    pad_token_id=tokenizer.pad_token_id,
                    **drawing,
                )
            found += tokenizer.batch_decode(written[:, ids.shape[1] :], skip_special_tokens=True)
        return [answer.strip() for answer in found]

    def asked(self, prompt: str) -> str:
        """What the model reads: the prompt, in the chat template of an instructed model."""
        if self.lm.tokenizer.chat_template is None:
            return prompt
        messages = [{"role": "user", "content": prompt}]
        return self.lm.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


class Server(LanguageModel):
    """A server that speaks OpenAI's protocol: vLLM, llama.cpp, Ollama, or a company's.

    Args:
        address: up to and without ``/chat/completions``, such as ``http://localhost:8000/v1``. Redirections are not
            followed, so that a key reaches nobody else.
        model: the model's name there.
        key: name of the environment variable that holds the key; nothing is sent where it is not set.
        together: prompts that are asked at a time.
        patience: seconds that one answer may take.
        attempts: times that a prompt is asked while the server is busy (429 or 5xx) or out of reach.
    """

    def __init__(
        self,
        address: str,
        model: str,
        *,
        key: str = "OPENAI_API_KEY",
        together: int = 8,
        patience: float = 120.0,
        attempts: int = 3,
    ) -> None:
        if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
            raise ValueError(f"a server's address begins with http:// or https://, got {address!r}")
        if min(together, attempts) < 1 or patience <= 0:
            raise ValueError(
                f"together and attempts must be at least 1 and patience above 0; got {together}, {attempts}, {patience}"
            )
        if not model:
            raise ValueError(f"name the model behind {address}, as in {address}#model")
        self.address, self.model, self.key = address.rstrip("/"), model, key
        self.together, self.patience, self.attempts = together, patience, attempts
        self._open = urllib.request.build_opener(_Unmoved).open

    def answers(self, prompts: Sequence[str], how: Answering = Answering(), *, seed: int = 0) -> list[str]:
        copies: Counter[str] = Counter()
        asked = []
        for prompt in prompts:
            asked.append((prompt, derive_seed(seed, "answers", copies[prompt]) % (1 << 31)))
            copies[prompt] += 1
        with ThreadPoolExecutor(self.together) as pool:
            return [*pool.map(lambda each: self._ask(each[0], each[1], how), asked)]

    def _ask(self, prompt: str, seed: int, how: Answering) -> str:
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": how.temperature,
            "top_p": how.top_p,
            "max_tokens": how.most,
            "seed": seed,
        }
        headers = {"Content-Type": "application/json"}
        if os.environ.get(self.key):
            headers["Authorization"] = f"Bearer {os.environ[self.key]}"
        where = f"{self.address}/chat/completions"
        reason = ""
        for _ in range(self.attempts):
            request = urllib.request.Request(where, json.dumps(body).encode(), headers)
            try:
                with self._open(request, timeout=self.patience) as reply:
                    raw = reply.read(MOST_BYTES + 1)
                return self._read(raw)
            except urllib.error.HTTPError as error:
                reason = f"{error.code} {error.reason}"
                if error.code != 429 and error.code < 500:
                    break
            except (urllib.error.URLError, TimeoutError) as error:
                reason = str(getattr(error, "reason", error))
        raise ConnectionError(f"{where} gave no answer: {reason}")

    def _read(self, raw: bytes) -> str:
        try:
            answer = json.loads(raw)["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError) as error:
            raise ConnectionError(f"{self.address} answered with something that is no chat completion") from error
        return str(answer or "").strip()


class Kept(LanguageModel):
    """Answers in a ``.jsonl`` file, one line ``{"prompt", "answer", "how", "seed", "copy"}`` each.

    Prompts that it holds, asked in the same way with the same seed, are answered from it. Others go to ``model`` and
    are added to the file, some at a time, so that an interrupted run loses little; without a model they are refused.
    A line without ``how`` answers its prompt however it is asked, which is how people write such files by hand.

    Args:
        path: the file; made where it is not there and there is a model.
        model: who answers what is not in it.
        at_a_time: prompts that are asked before their answers are written.
    """

    def __init__(self, path: Path | str, model: LanguageModel | None = None, *, at_a_time: int = 64) -> None:
        self.path, self.model, self.at_a_time = Path(path), model, at_a_time
        self._known: dict[str, str] = {}
        if self.path.is_file():
            self._read()
        elif model is None:
            raise FileNotFoundError(f"there is no file {path} of answers that were kept")

    def answers(self, prompts: Sequence[str], how: Answering = Answering(), *, seed: int = 0) -> list[str]:
        copies: Counter[str] = Counter()
        keys = []
        for prompt in prompts:
            keys.append(_key(prompt, asdict(how), seed, copies[prompt]))
            copies[prompt] += 1
        missing = [row for row, key in enumerate(keys) if not self._holds(key, prompts[row])]
        if missing and self.model is None:
            raise ValueError(
                f"{self.path} holds no answer to {len(missing):,} of {len(prompts):,} prompts, the first of them "
                f"{prompts[missing[0]][:200]!r}; ask a model as well, and they are added"
            )
        for start in range(0, len(missing), self.at_a_time):
            rows = missing[start : start + self.at_a_time]
            assert self.model is not None
            given = self.model.answers([prompts[row] for row in rows], how, seed=derive_seed(seed, start))
            with appending(self.path) as file:
                for row, answer in zip(rows, given, strict=True):
                    self._known[keys[row]] = answer
                    file.write(json.dumps({**json.loads(keys[row]), "answer": answer}) + "\n")
        return [self._known.get(key, self._known.get(prompt, "")) for key, prompt in zip(keys, prompts, strict=True)]

    def _holds(self, key: str, prompt: str) -> bool:
        return key in self._known or prompt in self._known

    def _read(self) -> None:
        for number, line in enumerate(read_whole(self.path, room() // 10).split(b"\n"), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                prompt, answer, how = row["prompt"], row["answer"], row.get("how")
            except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
                raise ValueError(
                    f"{self.path}, line {number}: an answer that was kept is an object with prompt and answer"
                ) from error
            if not isinstance(prompt, str) or not isinstance(answer, str):
                raise ValueError(f"{self.path}, line {number}: prompt and answer must be texts")
            key = prompt if how is None else _key(prompt, how, row.get("seed", 0), row.get("copy", 0))
            self._known[key] = answer


def language_model(model: str | Path | CausalLM | LanguageModel) -> LanguageModel:
    """A language model by name: ``http://host/v1#model``, a ``.jsonl`` file of answers that were kept, or whatever
    :func:`nearfar.encoders.causal.causal_model` knows (a folder, ``hf:<model>``)."""
    if isinstance(model, LanguageModel):
        return model
    if isinstance(model, str) and model.startswith(("http://", "https://")):
        address, _, name = model.partition("#")
        return Server(address, name)
    if isinstance(model, str | Path) and str(model).endswith(".jsonl"):
        return Kept(model)
    return LocalModel(model)


class _Unmoved(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _key(prompt: str, how: dict[str, Any], seed: int, copy: int) -> str:
    return json.dumps({"prompt": prompt, "how": how, "seed": seed, "copy": copy})
