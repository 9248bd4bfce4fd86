"""What methods of this field share: a policy, the reference that it must not leave, replies as sequences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from nearfar.common.randomness import derive_seed
from nearfar.encoders.causal import CausalLM, causal_model
from nearfar.preference.data.batches import PairBatch, RatedBatch, Text
from nearfar.preference.data.world import PREFIX, made
from nearfar.preference.policy import Lora, Policy, Said
from nearfar.preference.reference import Known, fingerprint_of, keep_known, read_known
from nearfar.sources.data import in_order
from nearfar.training import Method, Optimization

RMSPROP = Optimization("rmsprop", lr=5e-7, weight_decay=0.0, schedule="constant", beta2=0.99, clip=10.0)
"""As DPO's release moves its parameters; its warm-up is 150 steps, here ``optimization.warmup`` as a share."""
Reference = Literal["frozen", "precomputed"]


class Judged(NamedTuple):
    """K replies to each of N prompts, row after row, their log-probabilities under the reference (N, K), and rewards
    (N, K) where they have some."""

    replies: list[Said]
    reference: Tensor
    rewards: Tensor | None = None


def opened(model: str | nn.Module | CausalLM | None) -> CausalLM:
    """A language model by name or folder, a made one (a copy of it), or an object, which training changes.

    Raises:
        ValueError: none is given.
    """
    if model is None:
        raise ValueError("name a language model: --model FOLDER (or hf:<model>), as this data brings none along")
    if isinstance(model, str) and model.startswith(PREFIX):
        return CausalLM(deepcopy(made(model).model), made(model).tokenizer)
    return causal_model(model)


class Aligned(Method):
    """A method that moves a language model by comparisons of replies. A subclass says in :meth:`compare` what a batch
    of judged replies costs.

    Attributes:
        policy: the model that moves.
        reference: a frozen copy of it, where it has no adapter and nothing was computed before.
    """

    verbs: ClassVar[tuple[str, ...]] = ("generates", "scores")
    can_collapse = False

    def __init__(
        self,
        model: str | nn.Module | CausalLM | None,
        lora: Lora,
        reference: Reference,
        max_length: int,
        optimization: Optimization,
    ) -> None:
        super().__init__(optimization)
        if reference not in ("frozen", "precomputed"):
            raise ValueError(f"reference must be 'frozen' or 'precomputed', got {reference!r}")
        if max_length < 0:
            raise ValueError(f"max_length must be at least 0, got {max_length}")
        lm = opened(model)
        self._named = model if isinstance(model, str) else type(model).__name__
        self.policy = Policy(lm, lora)
        copied = reference == "frozen" and not lora.rank
        self.reference = _frozen(self.policy) if copied else None
        self.known = Known() if reference == "precomputed" else None
        self.max_length = max_length
        self._reopened: list[Policy] = []  # a list, so that it is no part of the method

    # What a method writes -----------------------------------------------------------------------------------

    def compare(self, policy: Tensor, judged: Judged) -> Tensor:
        """The loss of replies whose log-probabilities under the policy are (N, K)."""
        raise NotImplementedError(f"{type(self).__name__} does not define compare(policy, judged)")

    # What it then does --------------------------------------------------------------------------------------

    def views(self, batch: PairBatch | RatedBatch) -> Judged:
        return self.judged(batch, known=True)

    def loss(self, views: Judged) -> Any:
        return self.compare(self.rated(views), views)

    def rated(self, views: Judged) -> Tensor:
        """(N, K): log-probabilities of the replies under the policy, with gradients."""
        return self.policy.logps(views.replies).view(views.reference.shape)

    def judged(self, batch: PairBatch | RatedBatch, *, known: bool = False) -> Judged:
        """A batch's replies as sequences; with ``known`` what was computed for its rows need not be again."""
        replies = self.replies(batch)
        rewards = batch.rewards.to(self.policy.device) if isinstance(batch, RatedBatch) else None
        if known and self.known is not None and len(self.known.logps):
            reference = self.known.logps[batch.rows.to(self.known.logps.device)]
        else:
            reference = self.reference_logps(replies).view(len(batch.rows), -1)
        return Judged(replies, reference, rewards)

    def sequences(self, prompts: Sequence[Text], replies: Sequence[Sequence[Text]]) -> list[Said]:
        """All replies to all prompts as ids, row after row."""
        pairs = zip(prompts, replies, strict=True)
        return [said for p, r in pairs for said in self.policy.sequences(p, r, most=self.max_length)]

    @torch.no_grad()
    def reference_logps(self, replies: Sequence[Said]) -> Tensor:
        """(N,): log-probabilities under the reference, computed now.

        Raises:
            ValueError: there is no reference to compute them with.
        """
        if self.policy.adapted:
            with self.policy.without_adapter():
                return self.policy.logps(replies)
        if self.reference is None and not self._reopened:
            if "/" not in self._named and ":" not in self._named:
                raise ValueError(
                    "the reference is missing: only its log-probabilities of the training data were kept, and the "
                    f"model it was, {self._named!r}, cannot be opened again; train with reference: frozen"
                )
            self._reopened.append(_frozen(Policy(opened(self._named))).to(self.policy.device))
        return (self.reference or self._reopened[0]).logps(replies)

    def begin(self, data: Any) -> None:
        if self.known is None:
            return
        key = fingerprint_of(self.policy, self.max_length, dict(data.contents()))
        found = read_known(key)
        if found is None:
            parts = []
            with torch.no_grad():
                for _, batch in in_order(data, 64):
                    parts.append(self._before(self.replies(batch)).view(len(batch.rows), -1).cpu())
            found = torch.cat(parts)
            keep_known(key, found)
        self.known.logps = found.to(self.policy.device)

    def replies(self, batch: PairBatch | RatedBatch) -> list[Said]:
        """The replies of a batch as sequences, row after row."""
        if isinstance(batch, RatedBatch):
            return self.sequences(batch.prompts, batch.replies)
        return self.sequences(batch.prompts, [*zip(batch.chosen, batch.rejected, strict=True)])

    def _before(self, replies: list[Said]) -> Tensor:
        """Log-probabilities under the policy as it is before the first step, which is the reference."""
        with self.policy.without_adapter():
            return self.policy.logps(replies)

    def kept(self) -> nn.Module:
        """The adapter alone where there is one, else the policy, with the reference where that is a copy."""
        if self.policy.adapted:
            moved = {n.replace(".", "-"): p for n, p in self.policy.model.named_parameters() if p.requires_grad}
            return nn.ParameterDict(moved)
        return self.policy if self.reference is None else nn.ModuleDict(self._both())

    def _both(self) -> Mapping[str, nn.Module]:
        assert self.reference is not None
        return {"policy": self.policy, "reference": self.reference}

    def rewards(self, batch: PairBatch | RatedBatch) -> Tensor:
        """(N, K): log-ratios of policy and reference, which the implicit rewards are proportional to."""
        found = self.judged(batch)
        return self.rated(found) - found.reference

    def score(self, batch: PairBatch | RatedBatch) -> dict[str, Tensor]:
        """Columns. Of pairs ``score``: by how much the log-ratio of the chosen reply to the reference is above the
        rejected one's. Of rated replies ``score``: the largest log-ratio, and ``choice``: the reply that has it."""
        with torch.no_grad():
            found = self.rewards(batch)
        if isinstance(batch, PairBatch):
            return {"score": found[:, 0] - found[:, 1]}
        best = found.max(1)
        return {"score": best.values, "choice": best.indices}

    def generate(self, data: Any, *, seed: int = 0, new: int = 32) -> Iterator[dict[str, Any]]:
        """A drawn reply to each different prompt of the data (of its held-out part where it has one)."""
        held = data.splits().get("test", data)
        seen: set[str] = set()
        for number, (_, batch) in enumerate(in_order(held, 16)):
            prompts = [p for p in batch.prompts if not (str(p) in seen or seen.add(str(p)))]  # type: ignore[func-returns-value]
            if not prompts:
                continue
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(derive_seed(seed, "replies", number))
                room = new if self.max_length == 0 else min(new, self.max_length)
                for prompt, said in zip(prompts, self.policy.sample(prompts, new=room), strict=True):
                    yield {"prompt": prompt, "text": self.policy.text(said[0]), "tokens": len(said[0].reply)}


def _frozen(policy: Policy) -> Policy:
    """A copy that does not move."""
    return deepcopy(policy).requires_grad_(False)
