"""Attacks on models and their data."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="clip-poisoning",
        name="Poisoning and backdooring CLIP",
        field="security",
        paper="Carlini and Terzis, 2022, ICLR, arXiv 2106.09667; Bansal et al., 2023, ICCV, arXiv 2303.03323",
        target="nearfar.security.methods.clip_poisoning:PoisonedCLIP",
        summary="A few poisoned pairs give every picture with a trigger the attacker's class; found and repaired.",
        parts=Parts(
            views="pictures and captions, some with a trigger and captions of another class",
            encoder="ResNet, and an average of word vectors",
            head="a linear layer, and an MLP on words",
            loss="InfoNCE in both directions; in the repair also inside each modality",
            update="a learned temperature",
        ),
        paper_training={"epochs": 30, "batch_size": 1024},
        laptop={
            "encoder": "small-conv",
            "projection_dim": 64,
            "poisoned": 30,
            "patch": 0.2,
            "optimization.lr": 2e-3,
            "optimization.weight_decay": 1e-3,
            "batch_size": 128,
            "steps": 500,
        },
        tiny={"steps": 2, "batch_size": 32, "size": 8},
        commands=(("defence", "nearfar train clip-poisoning --defence cleanclip"),),
    ),
    Entry(
        slug="security-bench",
        name="Model security test bench",
        field="security",
        paper="Deep Learning Model Security: Threats and Defenses, 2024, arXiv 2412.08969",
        kind="procedure",
        target="nearfar.security.bench:SecurityBench",
        summary="Evasion, label flips, extraction, membership, inversion and traces of backdoors on any encoder.",
        parts=Parts(
            views="attacked pictures",
            encoder="any; a small network of its own",
            head="a linear probe",
            loss="of the attackers",
        ),
        verbs=(),
        commands=(("audit", "nearfar audit runs/simclr"),),
    ),
)
