"""No case of released code goes unused: every function that their folder describes is compared or accounted for."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOT = os.environ.get("NEARFAR_PARITY")

Function = tuple[str, str]

CALL = re.compile(r"\bparity\(([^()]*)\)")
WORD = re.compile(r'"([^"]*)"')

LEFT_OUT: dict[Function, str] = {
    ("amcl", "released_adaptive_temperature_sketch"): (
        "without negatives, and every similarity is divided by every temperature: not to be followed, as it says itself"
    ),
    ("curl", "curl_rainbow"): "CURL on Rainbow, whose replay it orders; the library's agents of pictures are SAC's",
    ("relic", "variant_transpose"): (
        "of a public re-implementation, whose regulariser compares the rows with the columns of one matrix; "
        "losses.relic says why it is another loss"
    ),
}
"""Functions whose cases no test is given, each with its reason."""

WITHOUT_CASES: dict[Function, tuple[str, str]] = {
    ("am-speaker", "margin_schedule"): ("audio/test_am_speaker.py", "test_the_margin_grows_along_the_released_cosine"),
    ("bgrl", "bgrl_loss"): ("losses/test_values.py", "test_losses_without_temperature"),
    ("cont", "projection"): ("text/test_cont.py", "test_states_are_averaged_without_the_last_token"),
    ("cpl", "deterministic_logprob"): (
        "preference/test_segments.py",
        "test_the_reference_is_what_imitation_made_and_points_have_no_half",
    ),
    ("curl", "random_crop"): (
        "control/test_goals.py",
        "test_shifts_repeat_edges_move_frames_together_and_reach_every_offset",
    ),
    ("drq", "critic_loss"): (
        "control/test_pixels.py",
        "test_targets_average_over_views_and_stop_where_the_world_does",
    ),
    ("golf", "mutual_attention"): (
        "text/test_golf.py",
        "test_attention_is_to_the_other_text_and_adds_the_input",
    ),
    ("grace", "grace_model"): ("graph/test_released_networks.py", "test_convolutions_of_directed_edges"),
    ("graphcl", "gin_encoder"): ("graph/test_released_networks.py", "test_sums_of_neighbours_and_of_graphs"),
    ("hrda", "slide_merge"): (
        "segmentation/test_hrda.py",
        "test_averaging_windows_of_a_local_function_gives_the_function",
    ),
    ("meow", "concentration"): ("graph/test_meow.py", "test_concentrations_have_the_temperature_as_their_mean"),
    ("rearm", "meta_share"): ("recommend/test_rearm.py", "test_what_both_kinds_share_is_its_formula"),
    ("relic", "own_multicrop_contrastive"): ("losses/test_relic.py", "test_multicrop_without_invariance"),
    ("scgc", "dec"): ("graph/test_daens_and_scgc.py", "test_clusters_sharpen"),
    ("semicon", "reservoir"): ("labels/test_streams.py", "test_a_reservoir_is_a_uniform_sample_of_what_went_by"),
    ("simsiam", "simsiam_heads"): ("vision/test_simsiam.py", "test_heads_are_the_released_layers"),
    ("slad", "targets"): (
        "tabular/test_slad.py",
        "test_feature_weights_by_numpy_and_where_the_release_divides_by_zero",
    ),
    ("symile", "pairwise_clip"): ("multimodal/test_tuples.py", "test_pairs_are_summed_as_released"),
    ("vdd", "ece"): ("evaluation/test_calibration.py", "test_bins_are_closed_above_and_ties_share_one"),
    ("zerovl", "mixup_nce"): ("multimodal/test_zerovl.py", "test_a_mixture_has_two_right_answers"),
}
"""Functions that are described without a case to be given: the test, by file and name, that holds their formula."""


def given(source: str) -> Iterator[Function]:
    """What ``parity("slug", "function", ...)`` asks for in a test file; ``*`` where it is all of a system."""
    for words in CALL.findall(source):
        slug, *functions = WORD.findall(words)
        assert not WORD.sub("", words).strip(" ,\n"), (
            f"parity(...) must name what it asks for literally, for this test to find it: {words}"
        )
        yield from ((slug, function) for function in functions or ("*",))


def compared() -> set[Function]:
    files = (path.read_text() for path in sorted(TESTS.rglob("test_*.py")) if path != Path(__file__))
    return {function for text in files if "parity(" in text for function in given(text)}


def described() -> dict[Function, int]:
    """Every function of the folder, and how many cases of it there are."""
    found: dict[Function, int] = {}
    for meta in sorted(Path(ROOT or ".").glob("*/meta.json")):
        slug, content = meta.parent.name, json.loads(meta.read_text())
        if "cases" in content:
            found |= {(slug, name): 0 for name in content["functions"]}
            for case in content["cases"].values():
                found[slug, case["function"]] = found.get((slug, case["function"]), 0) + 1
        else:
            found |= {(slug, function["name"]): len(function["cases"]) for function in content["functions"]}
    return found


@pytest.mark.skipif(not ROOT or not Path(ROOT).is_dir(), reason="NEARFAR_PARITY names no folder with numeric cases")
def test_every_released_function_is_compared_or_accounted_for() -> None:
    known, asked = described(), compared()
    open_ = [f for f in known if f not in asked and (f[0], "*") not in asked]
    unused = [f for f in open_ if known[f] and f not in LEFT_OUT]
    assert not unused, f"no test is given the cases of {unused}"
    unseen = [f for f in open_ if not known[f] and f not in WITHOUT_CASES and f not in LEFT_OUT]
    assert not unseen, f"nothing is said of {unseen}, of which there are no cases"
    stale = [f for f in (*LEFT_OUT, *WITHOUT_CASES) if f not in open_]
    assert not stale, f"{stale} stand in a list although they are compared, or not in the folder"
    unknown = [f for f in asked if f[1] != "*" and f not in known]
    assert not unknown, f"tests ask for {unknown}, which the folder does not have"


def test_formulas_without_cases_have_the_tests_they_name() -> None:
    for function, (file, name) in WITHOUT_CASES.items():
        assert f"\ndef {name}(" in (TESTS / file).read_text(), f"{file} has no {name}, which {function} names"
    assert not LEFT_OUT.keys() & WITHOUT_CASES.keys()
