"""PromptEOL: a language model says a sentence in one word, and the state before the word is its embedding."""

from __future__ import annotations

from torch import nn

from nearfar.parts.lora import Lora, adapted
from nearfar.text.methods.simcse import SimCSE
from nearfar.text.prompts import Prompt, prompted_encoder
from nearfar.training import Optimization


class PromptEOL(SimCSE):
    """Jiang et al., 2024, Findings of EMNLP, arXiv 2307.16645.

    A causal language model reads ``This sentence : "..." means in one word:"``, and the last layer's state at the last
    token is the sentence's vector; one example before it, answered with its word, improves it without any training
    (:func:`nearfar.text.prompts.best_example` chooses one). Trained it is with SimCSE's loss, by low-rank adapters: a
    sentence finds the one that it entails, contradictions are negatives; without partners it finds itself under
    another dropout mask of the adapters.

    Without training use the model as it is built: ``PromptEOL("hf:<model>").encode(sentences)``. A model that never
    read such prompts, or anything, has no use for them. The paper loads its models in four bits, this as they are.

    Args:
        encoder: causal language model, by name (``hf:<model>``) or as a ``TextEncoder``.
        prompt: the words around a sentence.
        lora: the adapters; with a rank of 0 every weight is trained.
        temperature: divides the cosine similarities, above 0.
        hard_negative_weight: added to the logit of a sentence's own contradiction.
        max_length: tokens kept per sentence, the prompt not counted.
        dropout: probability of every dropout in the model; its own when not given.
        optimization: AdamW with linear decay, after 100 of about 1,080 steps of warm-up in the paper.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "hf:facebook/opt-2.7b",
        *,
        prompt: Prompt = Prompt(),
        lora: Lora = Lora(64, 16.0, dropout=0.05),
        temperature: float = 0.05,
        hard_negative_weight: float = 0.0,
        max_length: int = 32,
        dropout: float | None = None,
        optimization: Optimization = Optimization("adamw", lr=5e-4, weight_decay=0.0, schedule="linear", warmup=0.09),
    ) -> None:
        super().__init__(
            prompted_encoder(encoder, prompt, max_length, dropout),
            pooling="last_token",
            temperature=temperature,
            hard_negative_weight=hard_negative_weight,
            head=False,
            optimization=optimization,
        )
        if lora.rank:
            self.encoder.model = adapted(self.encoder.model, lora, "FEATURE_EXTRACTION")
