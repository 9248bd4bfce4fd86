"""The bench: attacks succeed on a plain network, and adversarial training resists them better."""

from __future__ import annotations

from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.security.bench import SecurityBench
from nearfar.security.data import load

ATTACKED = "PGD, eps 8/255: accuracy under attack"
AGREEMENT = "extraction, {} queries: agreement with the victim's probe"


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load()
    scores = {}
    for name, adversarial in (("plain", False), ("adversarial", True)):
        found = SecurityBench(steps=200, adversarial=adversarial, pictures=300).evaluate(data, seed=seed)
        scores[name] = {"robust accuracy": found[ATTACKED], **found}
    plain = scores["plain"]
    scores["no attack"] = {"robust accuracy": plain["no attack: accuracy of a linear probe"]}
    scores["many queries"] = {"agreement": plain[AGREEMENT.format(400)]}
    scores["few queries"] = {"agreement": plain[AGREEMENT.format(100)]}
    return scores


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""A four-layer conv net trained by cross-entropy on 300 styled digits at 16 px for 200 steps of 64,
    plain or on pictures attacked by three steps of PGD at 8/255; attacked with 20 steps at 8/255 through a linear
    probe on its representation. The survey describes attacks and defences and states no numbers.""",
    claims=(
        Claim("evasion lowers accuracy", "plain", "no attack", "robust accuracy", better="lower", margin=0.1),
        Claim("adversarial training resists evasion", "adversarial", "plain", "robust accuracy"),
        Claim("more queries copy a model better", "many queries", "few queries", "agreement", role="ablation"),
    ),
)
