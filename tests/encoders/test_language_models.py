"""Answers of a model here, of a server, and of a file."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import torch

from nearfar.encoders.causal import causal_model, word_tokenizer
from nearfar.encoders.language_models import Answering, Kept, LanguageModel, LocalModel, Server, language_model

SHORT = Answering(most=4)


class Echo(LanguageModel):
    def __init__(self) -> None:
        self.asked: list[str] = []

    def answers(self, prompts: Sequence[str], how: Answering = SHORT, *, seed: int = 0) -> list[str]:
        self.asked += prompts
        return [f"{prompt}! {number}" for number, prompt in enumerate(prompts)]


@pytest.fixture(scope="module")
def local() -> LocalModel:
    torch.manual_seed(0)
    return LocalModel(causal_model("tiny-llama", tokenizer=word_tokenizer("abcdefgh")), batch_size=2)


def test_a_local_model_answers_by_the_seed_and_leaves_torchs_generator(local: LocalModel) -> None:
    prompts = ["a b c", "d", "e f"]
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = local.answers(prompts, SHORT, seed=1)
    assert torch.equal(before, torch.get_rng_state())
    assert first == local.answers(prompts, SHORT, seed=1)
    assert first != local.answers(prompts, SHORT, seed=2)
    best = local.answers(prompts, Answering(0.0, most=4))
    assert best == local.answers(prompts, Answering(0.0, most=4), seed=9)
    ids = torch.tensor([local.lm.tokenizer("a b c")["input_ids"]])
    for _ in range(4):
        ids = torch.cat([ids, local.lm.model(ids).logits[:, -1].argmax(-1, keepdim=True)], 1)
        if ids[0, -1] == local.lm.tokenizer.eos_token_id:
            break
    assert best[0] == local.lm.tokenizer.decode(ids[0, 3:], skip_special_tokens=True).strip()


def test_a_prompt_without_room_is_refused(local: LocalModel) -> None:
    with pytest.raises(ValueError, match="the model reads up to 512; shorten it"):
        local.answers(["a " * 600], SHORT)


def test_kept_answers_need_nobody_the_second_time(tmp_path: Path) -> None:
    path, echo = tmp_path / "answers.jsonl", Echo()
    growing = Kept(path, echo, at_a_time=2)
    found = growing.answers(["x", "y", "x"], SHORT, seed=4)
    assert found == ["x! 0", "y! 1", "x! 0"]
    assert len(path.read_text().splitlines()) == 3
    alone = language_model(str(path))
    assert alone.answers(["x", "y", "x"], SHORT, seed=4) == found
    with pytest.raises(ValueError, match="holds no answer to 1 of 2 prompts, the first of them 'z'"):
        alone.answers(["x", "z"], SHORT, seed=4)
    with pytest.raises(ValueError, match="holds no answer to 1 of 1"):
        alone.answers(["x"], SHORT, seed=5)
    assert growing.answers(["z", "x"], SHORT, seed=4) == ["z! 0", "x! 0"]
    assert echo.asked == ["x", "y", "x", "z"]


def test_answers_written_by_hand_do_for_every_way_of_asking(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"prompt": "why", "answer": "because"}\n')
    assert Kept(path).answers(["why"], Answering(0.1), seed=7) == ["because"]
    path.write_text('{"prompt": "why"}\n')
    with pytest.raises(ValueError, match="line 1: an answer that was kept is an object with prompt and answer"):
        Kept(path)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        Kept(tmp_path / "none.jsonl")


@pytest.fixture
def server() -> Iterator[tuple[str, list[dict]]]:
    seen: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append({**body, "path": self.path, "key": self.headers.get("Authorization")})
            prompt = body["messages"][0]["content"]
            busy = prompt == "busy" and sum(each["messages"] == body["messages"] for each in seen) == 1
            self.send_response({"forbidden": 403, "moved": 302}.get(prompt, 503 if busy else 200))
            if prompt == "moved":
                self.send_header("Location", "/elsewhere")
            self.end_headers()
            reply = {"choices": [{"message": {"content": f" {prompt} indeed "}}]}
            self.wfile.write(b"no json" if prompt == "odd" else json.dumps(reply).encode())

        def log_message(self, *args: object) -> None:
            pass

    running = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}/v1", seen
    running.shutdown()
    thread.join()
    running.server_close()


def test_a_server_is_asked_as_openais(server: tuple[str, list[dict]], monkeypatch: pytest.MonkeyPatch) -> None:
    address, seen = server
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    model = language_model(f"{address}#small")
    assert model.answers(["one", "two", "one"], Answering(0.5, 0.8, 9), seed=1) == [
        "one indeed",
        "two indeed",
        "one indeed",
    ]
    assert {each["path"] for each in seen} == {"/v1/chat/completions"}
    assert {(each["model"], each["temperature"], each["top_p"], each["max_tokens"]) for each in seen} == {
        ("small", 0.5, 0.8, 9)
    }
    assert len({each["seed"] for each in seen if each["messages"][0]["content"] == "one"}) == 2
    assert {each["key"] for each in seen} == {"Bearer secret"}
    assert model.answers(["busy"]) == ["busy indeed"]


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [("forbidden", "gave no answer: 403"), ("moved", "gave no answer: 302"), ("odd", "no chat completion")],
)
def test_a_server_that_does_not_answer_is_named(server: tuple[str, list[dict]], prompt: str, sentence: str) -> None:
    with pytest.raises(ConnectionError, match=sentence):
        Server(server[0], "small").answers([prompt])
    assert len(server[1]) == 1


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ValueError, match=r"answering.top_p in \(0, 1\]"):
        Answering(top_p=0.0)
    with pytest.raises(ValueError, match="begins with http:// or https://, got 'file:///etc'"):
        Server("file:///etc", "m")
    with pytest.raises(ValueError, match=r"name the model behind http://localhost/v1"):
        language_model("http://localhost/v1")
    with pytest.raises(ValueError, match="together and attempts must be at least 1"):
        Server("http://localhost/v1", "m", together=0)
