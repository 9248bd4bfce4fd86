"""Any field's embeddings in, numbers out.

Every function takes arrays or tensors and returns a float, a dictionary of floats or a small frozen
dataclass; none keeps state, reads files or knows about methods. Inputs that cannot give a number (NaN,
lengths that differ, one class only) raise a ``ValueError`` that names the argument. Statistics are computed
in float64.

What reads the attention of a transformer works on torch tensors and is imported by itself, as
:mod:`nearfar.evaluation.geometry.attention`; everything here loads without torch.
"""

from __future__ import annotations

from nearfar.evaluation.clustering import clustering, kmeans_scores, split_cluster_accuracy
from nearfar.evaluation.embeddings.table import Embeddings
from nearfar.evaluation.generation.distribution import frechet_distance
from nearfar.evaluation.generation.factors import DCI, dci, tad
from nearfar.evaluation.generation.fidelity import psnr, ssim
from nearfar.evaluation.geometry.invariance import invariance_score
from nearfar.evaluation.geometry.rank import (
    Collapse,
    alpha_req,
    collapsed,
    effective_rank,
    lidar,
    participation_ratio,
    rankme,
)
from nearfar.evaluation.geometry.spread import (
    alignment,
    cka,
    feature_std,
    minibatch_cka,
    separation,
    tolerance,
    uniformity,
)
from nearfar.evaluation.probing.accuracy import mean_class_accuracy, per_class_accuracy, shot_accuracy, top_k_accuracy
from nearfar.evaluation.probing.calibration import calibration, ece, fit_temperature
from nearfar.evaluation.probing.finetune import fine_tune, stratified_fraction
from nearfar.evaluation.probing.knn import knn, knn_predict, nearest_neighbours
from nearfar.evaluation.probing.probe import CLIP_C_GRID, LinearProbe, ProbeResult, liblinear_probe, linear_probe
from nearfar.evaluation.probing.ridge import RegressionResult, linear_regression_probe
from nearfar.evaluation.probing.zero_shot import zero_shot
from nearfar.evaluation.ranking.candidates import mrr
from nearfar.evaluation.ranking.detection import detection
from nearfar.evaluation.ranking.ranked import ranked_retrieval
from nearfar.evaluation.ranking.retrieval import paired_retrieval, retrieval
from nearfar.evaluation.ranking.sts import spearman, sts
from nearfar.evaluation.ranking.verification import best_f1, verification
from nearfar.evaluation.recognition import edit_distance, word_error_rate
from nearfar.evaluation.robustness.continual import continual
from nearfar.evaluation.robustness.corruptions import CORRUPTIONS, EXTRA_CORRUPTIONS, corrupt
from nearfar.evaluation.robustness.error import CorruptionError, corruption_error
from nearfar.evaluation.segmentation import ConfusionMatrix, agreement, miou
from nearfar.evaluation.statistics import Interval, difference_on_examples, mean_interval, paired_interval

GEOMETRY = ("effective_rank", "uniformity", "std")
"""Numbers that describe a representation without being better one way or the other."""

__all__ = [
    "CLIP_C_GRID",
    "CORRUPTIONS",
    "DCI",
    "EXTRA_CORRUPTIONS",
    "GEOMETRY",
    "Collapse",
    "ConfusionMatrix",
    "CorruptionError",
    "Embeddings",
    "Interval",
    "LinearProbe",
    "ProbeResult",
    "RegressionResult",
    "agreement",
    "alignment",
    "alpha_req",
    "best_f1",
    "calibration",
    "cka",
    "clustering",
    "collapsed",
    "continual",
    "corrupt",
    "corruption_error",
    "dci",
    "detection",
    "difference_on_examples",
    "ece",
    "edit_distance",
    "effective_rank",
    "feature_std",
    "fine_tune",
    "fit_temperature",
    "frechet_distance",
    "invariance_score",
    "kmeans_scores",
    "knn",
    "knn_predict",
    "liblinear_probe",
    "lidar",
    "linear_probe",
    "linear_regression_probe",
    "mean_class_accuracy",
    "mean_interval",
    "minibatch_cka",
    "miou",
    "mrr",
    "nearest_neighbours",
    "paired_interval",
    "paired_retrieval",
    "participation_ratio",
    "per_class_accuracy",
    "psnr",
    "ranked_retrieval",
    "rankme",
    "retrieval",
    "separation",
    "shot_accuracy",
    "spearman",
    "split_cluster_accuracy",
    "ssim",
    "stratified_fraction",
    "sts",
    "tad",
    "tolerance",
    "top_k_accuracy",
    "uniformity",
    "verification",
    "word_error_rate",
    "zero_shot",
]
