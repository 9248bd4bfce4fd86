"""What is known of each family of losses, and when to take it; the pages of the families add what was measured."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.system import Entry

__all__ = ["ENTRIES", "FAMILIES", "Family"]

ENTRIES: tuple[Entry, ...] = ()
"""No systems of its own."""


@dataclass(frozen=True)
class Family:
    """A family of losses.

    Attributes:
        known: what others found, with where.
        when: for whom it is.
    """

    known: str
    when: str


FAMILIES: dict[str, Family] = {
    "InfoNCE": Family(
        known="A softmax has to pick the positive among negatives. It bounds the mutual information of the views "
        "from below, by at most the logarithm of the number of candidates (van den Oord et al. 2018; Poole et "
        "al. 2019). It pulls positives together and spreads everything evenly over the sphere (Wang and Isola "
        "2020). The temperature decides how much the nearest negatives weigh; low ones push apart what is "
        "alike in truth (Wang and Liu 2021). More negatives help with diminishing returns, and negatives that "
        "are positives in truth cost accuracy.",
        when="The first thing to try wherever pairs exist or can be made, with a batch of some hundred examples, a "
        "queue or a bank. Take another family where batches must be small, or where many examples of a batch "
        "are of one kind and nothing says which.",
    ),
    "margin": Family(
        known="A positive has to be nearer than a negative by a margin; what satisfies it gives no gradient. Which "
        "negatives are looked at decides whether it learns: random ones soon teach nothing, the hardest are "
        "often errors of the labels, and those in between work (Schroff et al. 2015).",
        when="Ranking and verification, where only the order of distances matters, and recommendation, where one "
        "item that was taken stands against one that was not. With a whole batch at hand, InfoNCE uses it "
        "better.",
    ),
    "regression": Family(
        known="One view's representation predicts the other's, and nothing is pushed apart. What keeps it from one "
        "constant answer is asymmetry: a predictor on one side, no gradient on the other, often a slow "
        "teacher (Grill et al. 2020; Chen and He 2020). A predictor that learns faster than the encoder "
        "aligns with the directions of the representation, which are then kept (Tian et al. 2021). Scores as "
        "targets, as of pairs of sentences, are a regression as well, and need no such care.",
        when="Small batches, or examples among which many are alike, so that negatives would be wrong. Watch the "
        "alarm of collapse.",
    ),
    "redundancy": Family(
        known="Statistics of the dimensions take the place of negatives: views agree, every dimension varies, no "
        "two say the same (Zbontar et al. 2021; Bardes et al. 2021). Up to normalisation this and contrast "
        "among examples are the same matrix seen from its columns and its rows (Garrido et al. 2022). Wide "
        "projections help here more than elsewhere.",
        when="Small and middle batches without a teacher or a queue; when a dimension that means something by "
        "itself is wanted.",
    ),
    "clustering": Family(
        known="Views agree on a code: a cluster, a prototype, a word. Codes must be used equally, which an optimal "
        "assignment enforces (Caron et al. 2020), or everything falls into one. Clusters as negatives or "
        "positives bring in what several examples have in common, which contrast among single examples cannot "
        "see.",
        when="Data with groups that matter and are about equally large; segmentation and graphs, where groups of "
        "pixels or nodes are what is asked for. Not for long tails unless the shares are set.",
    ),
    "reconstruction": Family(
        known="What is hidden is predicted from the rest, so no views have to be invented. Representations that "
        "come of it fine-tune well and are read less well by linear probes and nearest neighbours than those "
        "of contrast (He et al. 2021). What is predicted decides what is kept: pixels keep texture, features "
        "of a network keep meaning.",
        when="Examples whose crops or colours are not the same thing (medical pictures, spectra), and whenever the "
        "network is fine-tuned afterwards. Beside contrast where both fine detail and meaning are asked for.",
    ),
    "cross-entropy": Family(
        known="A class is told: one of labels, of rotations, of positions, of tokens. With labels for everything it "
        "is the strongest baseline; contrast by labels gains most beside it with few or unbalanced labels "
        "(Khosla et al. 2020 report gains with full labels, too). With invented classes a network looks for "
        "shortcuts.",
        when="Labels exist, or the question has discrete answers. As a second term it anchors what contrast alone "
        "leaves open.",
    ),
    "mutual information": Family(
        known="Bounds and estimates of mutual information, by a critic or in closed form. A tighter bound does not "
        "make a better representation: invertible encoders reach the maximum and keep everything (Tschannen "
        "et al. 2019). Estimates of large values have a large variance (Poole et al. 2019).",
        when="Quantities that have to be compared or bounded, and as a term beside others. To learn a "
        "representation, InfoNCE is steadier.",
    ),
    "preference": Family(
        known="A policy is fitted to comparisons as if it were the model of their rewards, by log-probabilities "
        "relative to a reference (Rafailov et al. 2023). Where comparisons are nearly certain the fit has no "
        "end, and bounded forms or a term that keeps the reference in sight are steadier (Azar et al. 2023).",
        when="Language models and agents of which people, or a reward, say what is better.",
    ),
    "other": Family(
        known="Systems whose objective fits none of these: sums over several families, objectives by name, losses "
        "of single pairs, and decoders, which contrast two distributions of the next word instead of "
        "embeddings.",
        when="Each for its own question; its row says which.",
    ),
}
"""By their name in :data:`nearfar.catalogue.terms.TERMS`."""
