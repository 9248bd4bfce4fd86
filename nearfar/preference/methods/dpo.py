"""DPO: direct preference optimization."""

from __future__ import annotations

from torch import Tensor, nn

from nearfar.losses import dpo_loss
from nearfar.preference.data.batches import PairBatch
from nearfar.preference.method import RMSPROP, Aligned, Judged, Reference
from nearfar.preference.policy import Lora
from nearfar.training import Optimization


class DPO(Aligned):
    """Rafailov et al., 2023, arXiv 2305.18290.

    The optimum of a reward under a KL penalty stands for that reward: ``r = beta log(pi / pi_ref)`` up to a constant of
    the prompt. So the policy itself is fitted to comparisons as a model of rewards would be, by logistic regression on
    differences of log-ratios, without a model of rewards and without drawing replies. The chosen replies often become
    less likely too, only less so than the rejected ones; :class:`NCA` holds them up.

    Args:
        model: the language model, best one that was trained on replies of this kind before: a folder in transformers'
            format, ``hf:<model>``, or a :class:`nearfar.encoders.CausalLM`; the data's own when not given.
        beta: strength of the KL penalty, above 0; the paper has 0.1 to 0.5.
        label_smoothing: how often labels are wrong, in [0, 0.5); 0 in the paper, above it is conservative DPO.
        lora: low-rank adapters instead of every weight; the reference is then the model without them.
        reference: ``frozen``, a copy of the model (or the model without its adapter), or ``precomputed``: the
            reference's log-probabilities of all training replies, once, kept with the run and for later runs with the
            same weights, tokenizer and data, so that training holds one model.
        max_length: tokens of prompt and reply; longer ones lose their end. 0 for what the model reads, where longer
            ones are an error. The release has 512.
        optimization: how parameters move; by default the release's RMSprop of 5e-7 with gradients clipped to 10.
    """

    takes = PairBatch

    def __init__(
        self,
        model: str | nn.Module | None = None,
        *,
        beta: float = 0.1,
        label_smoothing: float = 0.0,
        lora: Lora = Lora(),
        reference: Reference = "frozen",
        max_length: int = 0,
        optimization: Optimization = RMSPROP,
    ) -> None:
        super().__init__(model, lora, reference, max_length, optimization)
        self.beta, self.label_smoothing = beta, label_smoothing

    def compare(self, policy: Tensor, judged: Judged) -> Tensor:
        return dpo_loss(
            *policy.unbind(1), *judged.reference.unbind(1), beta=self.beta, label_smoothing=self.label_smoothing
        )
