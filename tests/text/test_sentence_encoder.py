"""A run as other libraries evaluate models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nearfar.text.methods import SimCSE
from nearfar.text.sentences import SentenceEncoder

TEXTS = ["a cat sits", "rain", "the long train is late again today", "a cat sat"]


@pytest.fixture(scope="module")
def model() -> SentenceEncoder:
    torch.manual_seed(0)
    return SentenceEncoder(SimCSE("tiny-bert").eval(), name="me/run", batch_size=2)


def test_vectors_do_not_depend_on_the_form_they_are_asked_in(model: SentenceEncoder) -> None:
    expected = np.stack([model.encode(text) for text in TEXTS])
    assert expected.dtype == np.float32
    batches: list[dict[str, Any]] = [{"text": TEXTS[:3], "title": ["", "", ""]}, {"text": TEXTS[3:]}]
    asked = {"task_metadata": None, "hf_split": "test", "hf_subset": "default", "prompt_type": "query"}
    for found in (model.encode(TEXTS), model.encode(tuple(TEXTS), batch_size=1), model.encode(batches, **asked)):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not model.method.training
    unit = model.encode(TEXTS, normalize_embeddings=True, convert_to_tensor=True)
    torch.testing.assert_close(unit.norm(dim=-1), torch.ones(4))
    torch.testing.assert_close(model.similarity(expected, unit).diagonal(), torch.ones(4))
    torch.testing.assert_close(
        model.similarity_pairwise(expected[:2], expected[2:]), model.similarity(expected, expected)[[0, 1], [2, 3]]
    )


def test_what_is_no_text_is_refused(model: SentenceEncoder) -> None:
    with pytest.raises(TypeError, match="batches with texts under 'text'; it was given int"):
        model.encode([3])
    with pytest.raises(TypeError, match="it was given a batch of image"):
        model.encode([{"image": [1]}])
    with pytest.raises(ValueError, match="no sentences"):
        model.encode([])
    with pytest.raises(ValueError, match="owner/model"):
        SentenceEncoder(model.method, name="run")
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        SentenceEncoder(model.method, batch_size=0)
    with pytest.raises(TypeError, match=r"SentenceEncoder\(nearfar.load\('runs/x'\)\)"):
        SentenceEncoder("runs/x")


def test_mteb_evaluates_a_run_on_a_task_of_local_data(model: SentenceEncoder, tmp_path: Any) -> None:
    mteb = pytest.importorskip("mteb", reason="extra mteb")
    from datasets import Dataset, DatasetDict
    from mteb.abstasks.sts import AbsTaskSTS
    from mteb.abstasks.task_metadata import TaskMetadata
    from scipy.stats import spearmanr

    pairs = [(one, other) for one in TEXTS for other in TEXTS if one < other]
    scores = [float(len({*one.split()} & {*other.split()})) for one, other in pairs]

    class OwnPairs(AbsTaskSTS):
        metadata = TaskMetadata(
            name="OwnPairs", description="pairs of a file", dataset={"path": "own/pairs", "revision": "1"}, type="STS",
            category="t2t", modalities=["text"], eval_splits=["test"], eval_langs=["eng-Latn"],
            main_score="cosine_spearman", date=None, domains=None, task_subtypes=None, license=None,
            annotations_creators=None, dialect=None, sample_creation=None, bibtex_citation=None, reference=None,
        )  # fmt: skip
        min_score, max_score = 0, 4

        def load_data(self, **told: Any) -> None:
            one, other = zip(*pairs, strict=True)
            rows = Dataset.from_dict({"sentence1": [*one], "sentence2": [*other], "score": scores})
            self.dataset = DatasetDict(test=rows)
            self.data_loaded = True

    found = mteb.evaluate(model, OwnPairs(), cache=None, show_progress_bar=False)
    (measured,) = found.task_results[0].scores["test"]
    cosines = model.similarity_pairwise(*(model.encode([*side]) for side in zip(*pairs, strict=True)))
    assert measured["cosine_spearman"] == pytest.approx(spearmanr(cosines, scores).statistic, abs=1e-4)
