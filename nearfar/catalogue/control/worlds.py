"""Skills without rewards, and models of the world."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="becl",
        name="BeCL",
        field="control",
        paper="Yang et al., 2023, ICML, arXiv 2305.04477",
        target="nearfar.control.methods.becl:BeCL",
        summary="States met under one skill are positives, and being told by one's skill is an agent's only reward.",
        parts=Parts(
            views="two states met under one skill",
            encoder="3-layer MLP",
            head="2-layer MLP",
            loss="InfoNCE with the states of all skills",
            update="gradients of contrast, critic and actor in turn; slow critics",
        ),
        verbs=("acts",),
        paper_training={"steps": 1_000_000, "batch_size": 1024},
        laptop={"steps": 1500, "batch_size": 256, "hidden": 64, "skills": 8, "optimization.lr": 1e-3, "discount": 0.95},
        tiny={"steps": 4, "batch_size": 32, "hidden": 16},
        data="point-maze-open",
    ),
    Entry(
        slug="latent-dynamics",
        name="Latent dynamics by contrast",
        field="control",
        paper="van den Oord et al., 2018, arXiv 1807.03748; Kipf et al., 2020, ICLR, arXiv 1911.12247",
        target="nearfar.control.methods.latent_dynamics:LatentDynamics",
        summary="A rolled-out prediction finds the state that was reached, and goals are planned for in that space.",
        parts=Parts(
            views="a state with the actions after it, and the states they led to",
            encoder="convolutions or nothing, 2-layer MLP",
            head="a residual transition",
            loss="InfoNCE by distance, or a hinge",
        ),
        verbs=("acts",),
        paper_training={"steps": 50_000, "batch_size": 1024},
        laptop={"steps": 800, "batch_size": 128},
        tiny={"steps": 2, "batch_size": 16},
        data="pixel-grid-episodes",
    ),
    Entry(
        slug="contrabar",
        name="ContraBAR",
        field="control",
        paper="Choshen and Tamar, 2023, ICML, arXiv 2306.02418",
        target="nearfar.control.methods.contrabar:ContraBAR",
        summary="A memory of what was seen, done and earned tells what comes later from what happened in other tasks.",
        parts=Parts(
            views="a moment of a trajectory and what follows in it, or in others",
            encoder="recurrent network over states, actions and rewards",
            head="a scorer for each number of steps ahead",
            loss="InfoNCE with steps of other trajectories",
        ),
        paper_training={"steps": 30_000, "batch_size": 25},
        laptop={"steps": 600, "batch_size": 25, "belief": 64, "optimization.lr": 1e-3},
        tiny={"steps": 2, "batch_size": 8, "lookahead": 2},
        data="hidden-goals",
    ),
)
