"""The Python way in, after scikit-learn's conventions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.training import Method, Training, embed

__all__ = ["Representation", "fit"]


class Representation(TransformerMixin, BaseEstimator):
    """A learned representation as a scikit-learn transformer: ``fit`` trains an encoder, ``transform`` embeds.

    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.linear_model import LogisticRegression
    >>> pipeline = make_pipeline(Representation("relic", preset="laptop"), LogisticRegression())

    Args:
        method: slug of a method (``nearfar list``).
        arguments: the method's constructor arguments; see ``nearfar train <method> --help``.
        preset: ``paper`` starts from the paper's defaults, ``laptop`` from those for minutes on a processor, ``auto``
            takes the one that fits the device.
        steps, epochs, batch_size, seed: see :class:`nearfar.training.Training`; ``None`` keeps the preset's.
        progress: show progress on standard error.

    Attributes:
        method_: the trained method, a ``LightningModule``; ``method_.encoder`` is the network that is kept.
    """

    method_: Method

    def __init__(
        self,
        method: str = "relic",
        *,
        arguments: dict[str, Any] | None = None,
        preset: str = "auto",
        steps: int | None = None,
        epochs: float | None = None,
        batch_size: int | None = None,
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        self.method = method
        self.arguments = arguments
        self.preset = preset
        self.steps = steps
        self.epochs = epochs
        self.batch_size = batch_size
        self.seed = seed
        self.progress = progress

    def fit(self, X: Any, y: Any = None) -> Representation:
        """Train on raw data: an array of images, a list of sentences, a path, or a field's ``Data``.

        Labels are ignored, as they are by every unsupervised transformer.
        """
        system = find(self.method)
        base = workflow.preset_settings(system, self.preset)
        arguments = {**base[0], **(self.arguments or {})}
        settings = {**base[1], "seed": self.seed}
        if self.epochs is not None or self.steps is not None:
            settings |= {"steps": self.steps, "epochs": self.epochs}
        if self.batch_size is not None:
            settings["batch_size"] = self.batch_size
        self.method_, _ = workflow.train(
            self.method, data=X, arguments=arguments, training=Training(**settings), progress=self.progress
        )
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The representations (N, D), float32, of raw data of the same kind."""
        check_is_fitted(self, "method_")
        return embed(self.method_, workflow.load_data(find(self.method).field, X)).array

    def save(self, path: Path | str) -> None:
        """Keep the trained method in the Hugging Face conventions (``save_pretrained``)."""
        check_is_fitted(self, "method_")
        self.method_.save_pretrained(path)


def fit(method: str, data: Any, **settings: Any) -> Representation:
    """``nearfar.fit("relic", images)``: a :class:`Representation` trained on ``data``."""
    return Representation(method, **settings).fit(data)
