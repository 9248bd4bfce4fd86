"""Low-rank adapters of language models (Hu et al. 2021, arXiv 2106.09685), by peft."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nearfar.common.extras import needed

__all__ = ["Lora", "adapted"]


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters instead of training every weight (peft, the extra ``language``).

    Args:
        rank: of the adapters, 0 to train every weight.
        alpha: what they add is scaled by alpha / rank.
        targets: names of layers that get one, parted by commas; ``all-linear`` for every linear one but the head.
        dropout: of what goes into the adapters.
    """

    rank: int = 0
    alpha: float = 16.0
    targets: str = "all-linear"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.rank < 0 or self.alpha <= 0:
            raise ValueError(f"lora.rank must be at least 0 and lora.alpha above 0, got {self.rank} and {self.alpha}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"lora.dropout must be in [0, 1), got {self.dropout}")


def adapted(model: Any, lora: Lora, task: str = "CAUSAL_LM") -> Any:
    """A transformers model with adapters, which alone are trained.

    Args:
        task: peft's word for what the model is: ``CAUSAL_LM``, or ``FEATURE_EXTRACTION`` without a head.

    Raises:
        ValueError: targets that the model does not have. ImportError: peft is not installed.
    """
    peft = needed("peft", "language", "training adapters (lora.rank)")
    targets = lora.targets if lora.targets == "all-linear" else [name.strip() for name in lora.targets.split(",")]
    config = peft.LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=targets, task_type=task
    )
    try:
        return peft.get_peft_model(model, config)
    except ValueError as error:
        raise ValueError(f"lora.targets {lora.targets!r} does not fit this model: {error}") from error
