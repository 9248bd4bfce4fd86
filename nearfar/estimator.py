"""The Python way in, after scikit-learn's conventions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.runs.configure import parameters
from nearfar.spelling import meant
from nearfar.training import Method, Training, embed
from nearfar.workflow.opening import load, open_folder

__all__ = ["Representation", "fit", "load"]


class Representation(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A learned representation as a scikit-learn transformer: ``fit`` trains an encoder, ``transform`` embeds.

    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.linear_model import LogisticRegression
    >>> pipeline = make_pipeline(Representation("relic", alpha=0.5, steps=500), LogisticRegression())

    It learns from raw data of a field (pictures, sentences, graphs), where scikit-learn's common checks hand tables of
    random numbers to every estimator; its tags say so, and ``check_estimator`` then asks for nothing more. Parameters,
    cloning, pipelines, searches, ``set_output`` and names of features follow the conventions.

    Args:
        method: slug of a method (``nearfar list``).
        arguments: the method's constructor arguments; see ``nearfar train <method> --help``.
        data_options: further arguments of the field's loader, for ``fit`` and ``transform`` alike, as ``{"size": 64}``
            for pictures of several sizes; arrays of one size are taken as they are.
        preset: ``paper`` starts from the paper's defaults, ``laptop`` from those for minutes on a processor, ``auto``
            takes the one that fits the device.
        steps, epochs, batch_size, seed: see :class:`nearfar.training.Training`; ``None`` keeps the preset's.
        progress: show progress on standard error.
        settings: constructor arguments of the method by name, as ``alpha=0.5``; parameters like the others, so that a
            search can vary them. They take the place of those in ``arguments``.

    Attributes:
        method_: the trained method, a ``LightningModule``; ``method_.encoder`` is the network that is kept.
        n_features_out_: width of the representation.
    """

    method_: Method

    def __init__(
        self,
        method: str = "relic",
        *,
        arguments: dict[str, Any] | None = None,
        data_options: dict[str, Any] | None = None,
        preset: str = "auto",
        steps: int | None = None,
        epochs: float | None = None,
        batch_size: int | None = None,
        seed: int = 0,
        progress: bool = False,
        **settings: Any,
    ) -> None:
        self.method = method
        self.arguments = arguments
        self.data_options = data_options
        self.preset = preset
        self.steps = steps
        self.epochs = epochs
        self.batch_size = batch_size
        self.seed = seed
        self.progress = progress
        self.settings = settings

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name, the method's own among them."""
        return {**super().get_params(deep), **self.settings}

    def set_params(self, **params: Any) -> Representation:
        """Change parameters; what is none of this class is a setting of the method."""
        own = {name: value for name, value in params.items() if name in self._get_param_names()}
        self.settings = {**self.settings, **{n: v for n, v in params.items() if n not in own}}
        super().set_params(**own)
        return self

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.no_validation = True
        tags._skip_test = True  # the common checks feed tables of numbers, and no field of pictures or texts takes them
        return tags

    def fit(self, X: Any, y: Any = None) -> Representation:
        """Train on raw data: pictures (an array, a list of arrays, PIL pictures or paths, a tensor, a torch data set),
        a list of sentences, a path, or a field's ``Data``.

        Labels are ignored, as they are by every unsupervised transformer.

        Raises:
            ValueError: a setting that the method does not have.
        """
        system = find(self.method)
        known = parameters(system.load())
        for name in self.settings:
            if name not in known:
                mine = [*known, *self._get_param_names()]
                hint = meant(name, mine) or f"; it has {', '.join(known)}"
                raise ValueError(f"{self.method} has no setting {name!r}{hint}")
        base = workflow.preset_settings(system, self.preset)
        arguments = {**base[0], **(self.arguments or {}), **self.settings}
        settings = {**base[1], "seed": self.seed}
        if self.epochs is not None or self.steps is not None:
            settings |= {"steps": self.steps, "epochs": self.epochs}
        if self.batch_size is not None:
            settings["batch_size"] = self.batch_size
        self.method_, _ = workflow.train(
            self.method,
            data=X,
            arguments=arguments,
            training=workflow.cut(Training(**settings), system.tiny),
            data_options=self.data_options,
            progress=self.progress,
        )
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The representations (N, D), float32, of raw data of the same kind."""
        check_is_fitted(self, "method_")
        return embed(self.method_, workflow.load_data(find(self.method).field, X, **(self.data_options or {}))).array

    @property
    def n_features_out_(self) -> int:
        """Width of the representation."""
        check_is_fitted(self, "method_")
        features = getattr(self.method_, "features", None) or getattr(self.method_.encoder, "out_features", None)
        if features is None:
            raise AttributeError(f"{self.method} does not say how wide its representation is")
        return int(features)

    @property
    def _n_features_out(self) -> int:
        return self.n_features_out_

    def save(self, path: Path | str) -> None:
        """Keep the trained method in the Hugging Face conventions (``save_pretrained``)."""
        check_is_fitted(self, "method_")
        self.method_.save_pretrained(path)

    @classmethod
    def load(cls, path: Path | str) -> Representation:
        """A fitted one, from whatever :func:`load` opens and of which is known which field's data it reads.

        Raises:
            ValueError: that is not known, of models of other libraries.
        """
        opened = open_folder(path)
        if opened.entry is None:
            raise ValueError(f"{path} does not say which system it is of; nearfar.load opens it, and encode embeds")
        found = cls(opened.entry.slug, arguments=opened.arguments, data_options=opened.options)
        found.method_ = cast(Method, opened.model)
        return found


def fit(method: str, data: Any, **settings: Any) -> Representation:
    """``nearfar.fit("relic", images, alpha=0.5)``: a :class:`Representation` trained on ``data``."""
    return Representation(method, **settings).fit(data)
