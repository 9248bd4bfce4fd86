"""CE-GZSL: contrastive embedding for generalized zero-shot learning."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.labels.critics import all_scores, begin_normal, feature_maker, gradient_penalty, scorer
from nearfar.labels.data import AttributeBatch, AttributeFeatures
from nearfar.labels.zero_shot import softmax_classifier, zero_shot_scores
from nearfar.losses import supcon
from nearfar.system import Scores
from nearfar.training import Method, Optimization
from nearfar.training.method import Update


class CEGZSL(Method):
    """Han et al., 2021, CVPR, arXiv 2103.16173.

    A generator makes features of unseen classes from their attributes; an embedding, trained with contrast among
    pictures and between pictures and class attributes, gives the space where a classifier is trained on real features
    of seen classes and made ones of unseen classes. Two networks learn in turns: in every step the critic (with
    embedding and comparator), in every ``critic_steps``-th the generator.

    The released loop clears the comparator's gradients once an epoch only; here they are cleared every step. Its
    reported numbers are the best over epochs on the test set; :meth:`evaluate` measures the last state.

    Args:
        feature_dim, attribute_dim: widths of features and attributes; taken from the data.
        noise_dim: of the generator's noise; that of the attributes when not given.
        hidden: width of hidden layers of generator, critic and comparator.
        embed_dim: width of the embedding h, where the classifier works.
        projection_dim: width of the space of the instance contrast.
        temperature_instance, temperature_class: divide the scores of both contrasts, above 0.
        critic_steps: steps of the critic for one of the generator.
        penalty: weight of the gradient penalty.
        instance, class_level: whether the embedding learns by each of the two contrasts.
        guidance: weight of both in the generator's loss.
        classify: where the final classifier works; on ``features`` there is no embedding, as in f-CLSWGAN.
        synthetic: features made of each unseen class for the classifier.
        init_std: standard deviation of the initial weights; 0.02 as released is for layers of thousands of units, and
            narrow ones begin too quiet with it.
        optimization: Adam as released, at a constant rate.
    """

    takes = AttributeBatch
    can_collapse = False

    def __init__(
        self,
        feature_dim: int | None = None,
        attribute_dim: int | None = None,
        *,
        noise_dim: int | None = None,
        hidden: int = 4096,
        embed_dim: int = 2048,
        projection_dim: int = 512,
        temperature_instance: float = 0.1,
        temperature_class: float = 0.1,
        critic_steps: int = 5,
        penalty: float = 10.0,
        instance: bool = True,
        class_level: bool = True,
        guidance: float = 0.001,
        classify: Literal["embedding", "features"] = "embedding",
        synthetic: int = 100,
        init_std: float = 0.02,
        optimization: Optimization = Optimization("adam", lr=1e-4, beta1=0.5, weight_decay=0.0, schedule="constant"),
    ) -> None:
        super().__init__(optimization)
        if feature_dim is None or attribute_dim is None:
            raise ValueError("feature_dim and attribute_dim are needed: the widths of features and of attributes")
        self.noise_dim = noise_dim or attribute_dim
        self.generator_network = feature_maker(attribute_dim + self.noise_dim, hidden, feature_dim)
        self.critic = scorer(feature_dim + attribute_dim, hidden)
        self.encoder = nn.Sequential(nn.Linear(feature_dim, embed_dim), nn.ReLU())
        self.projection = nn.Linear(embed_dim, projection_dim)
        self.comparator = scorer(embed_dim + attribute_dim, hidden // 2)
        begin_normal(self, init_std)
        self.register_buffer("described", torch.zeros(0, attribute_dim), persistent=False)
        self.register_buffer("place", torch.zeros(0, dtype=torch.long), persistent=False)
        self.temperatures = temperature_instance, temperature_class
        self.critic_steps, self.penalty, self.guidance = critic_steps, penalty, guidance
        self.instance, self.class_level, self.classify, self.synthetic = instance, class_level, classify, synthetic

    def begin(self, data: AttributeFeatures) -> None:
        """Look up the attributes of the classes that there is something to learn from of."""
        seen = np.unique(np.asarray(data.labels))
        place = np.full(len(data.attributes), -1)
        place[seen] = np.arange(len(seen))
        device = next(self.critic.parameters()).device
        self.described = torch.from_numpy(data.attributes[seen]).to(device)
        self.place = torch.from_numpy(place).to(device)

    def resumed(self, data: AttributeFeatures) -> None:
        self.begin(data)

    def updates(self) -> list[Update]:
        learning = nn.ModuleList([self.critic, self.encoder, self.projection, self.comparator])
        generating = list(self.generator_network.parameters())
        return [
            Update("critic", list(learning.parameters()), self.critic_loss, self.optimization),
            Update("generator", generating, self.generator_loss, self.optimization, every=self.critic_steps),
        ]

    def made(self, attributes: Tensor, generator: torch.Generator) -> Tensor:
        """Features (N, D) of classes with the attributes (N, A)."""
        noise = torch.randn(len(attributes), self.noise_dim, generator=generator, device=generator.device)
        return self.generator_network(torch.cat([noise.to(attributes), attributes], dim=1))

    def critic_loss(self, batch: AttributeBatch) -> dict[str, Tensor]:
        fake = self.made(batch.attributes, self.generator).detach()
        share = torch.rand(len(fake), 1, generator=self.generator, device=fake.device)
        terms = {
            "wasserstein": (self.criticised(fake, batch) - self.criticised(batch.features, batch)).mean(),
            "penalty": self.penalty * gradient_penalty(self.critic, batch.features, fake, batch.attributes, share),
        }
        return terms | self.contrasts(batch.features, batch.labels)

    def generator_loss(self, batch: AttributeBatch) -> dict[str, Tensor]:
        fake = self.made(batch.attributes, self.generator)
        terms = {"wasserstein": -self.criticised(fake, batch).mean()}
        guides = self.contrasts(fake, batch.labels, beside=batch.features)
        return terms | {name: self.guidance * value for name, value in guides.items()}

    def criticised(self, features: Tensor, batch: AttributeBatch) -> Tensor:
        return self.critic(torch.cat([features, batch.attributes], dim=1))

    def contrasts(self, features: Tensor, labels: Tensor, beside: Tensor | None = None) -> dict[str, Tensor]:
        """Both contrasts of features with their classes; ``beside`` are real ones of the same classes."""
        h = self.encoder(features)
        terms = {}
        if self.instance:
            z, y = self.projection(h), labels
            if beside is not None:
                with torch.no_grad():
                    real = self.projection(self.encoder(beside))
                z, y = torch.cat([z, real]), torch.cat([labels, labels])
            terms["instance"] = supcon(z, y, temperature=self.temperatures[0], on_empty="skip")
        if self.class_level:
            terms["class"] = self.class_contrast(h, self.place[labels])
        return terms

    def class_contrast(self, h: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of embeddings (N, E) with the attributes of all seen classes, by the comparator's scores."""
        return F.cross_entropy(all_scores(self.comparator, h, self.described) / self.temperatures[1], labels)

    def encode(self, batch: Any) -> Tensor:
        features = batch.features if isinstance(batch, AttributeBatch) else batch
        return self.encoder(features) if self.classify == "embedding" else features

    def kept(self) -> nn.Module:
        return nn.ModuleDict({"encoder": self.encoder, "generator": self.generator_network})

    def evaluate(self, data: AttributeFeatures, *, seed: int = 0) -> Scores:
        """A softmax classifier over all classes, trained on real seen and made unseen features.

        Returns:
            ``seen`` and ``unseen``, mean per-class accuracy on either held-out set with all classes as candidates, and
            ``harmonic``, their harmonic mean; in [0, 1].
        """
        tests = {name: data.splits()[name] for name in ("seen", "unseen")}
        with self.frozen():
            generator = torch.Generator(self.device).manual_seed(seed)
            unseen = np.setdiff1d(np.unique(np.asarray(tests["unseen"].labels)), np.asarray(data.labels))
            attributes = torch.from_numpy(data.attributes[np.repeat(unseen, self.synthetic)]).to(self.device)
            made = self.made(attributes, generator)
            real = torch.from_numpy(data.features).to(self.device)
            x = self.encode(torch.cat([real, made])).cpu()
            y = torch.from_numpy(np.concatenate([np.asarray(data.labels), np.repeat(unseen, self.synthetic)]))
            classifier = softmax_classifier(x, y, len(data.attributes), seed=seed)
            shown = {name: test.batch(np.arange(len(test))).features.to(self.device) for name, test in tests.items()}
            guesses = {name: classifier(self.encode(z).cpu()).argmax(1).numpy() for name, z in shown.items()}
        return zero_shot_scores(guesses, {name: np.asarray(test.labels) for name, test in tests.items()})
