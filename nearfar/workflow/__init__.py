"""What the commands do, as functions: the one place where catalogue, field, training and run folder meet."""

from nearfar.common.rehearsal import cut
from nearfar.training.fit import first_process, fit
from nearfar.workflow.comparing import Arm, Comparison, compare
from nearfar.workflow.generating import generate_to
from nearfar.workflow.measuring import embed_with_run, evaluate_procedure, evaluate_run, score_rows
from nearfar.workflow.running import like_the_run, load_run, placed, resume_run, run_data, run_parts, train
from nearfar.workflow.systems import build_method, laptop_settings, load_data, measure, preset_settings, trainable

__all__ = [
    "Arm",
    "Comparison",
    "build_method",
    "compare",
    "cut",
    "embed_with_run",
    "evaluate_procedure",
    "evaluate_run",
    "first_process",
    "fit",
    "generate_to",
    "laptop_settings",
    "like_the_run",
    "load_data",
    "load_run",
    "measure",
    "placed",
    "preset_settings",
    "resume_run",
    "run_data",
    "run_parts",
    "score_rows",
    "train",
    "trainable",
]
