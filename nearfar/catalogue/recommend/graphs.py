"""Recommenders on the graph of who chose what."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="lightgcn",
        name="LightGCN",
        field="recommend",
        paper="He et al., 2020, SIGIR, arXiv 2002.02126",
        target="nearfar.recommend.methods.lightgcn:LightGCN",
        summary="Users and items are averages over their neighbourhoods; a chosen item scores above another.",
        parts=Parts(
            views="what a user chose, and an item drawn at random",
            encoder="embeddings and linear propagation, mean over layers",
            head="none",
            loss="Bayesian personalised ranking",
        ),
        verbs=("ranks",),
        paper_training={"epochs": 1000, "batch_size": 2048},
        laptop={"epochs": 150, "batch_size": 2048, "optimization.lr": 1e-2},
        tiny={"epochs": 2},
        commands=(("rank the items for users", "nearfar recommend RUN users.csv -k 20 -o out.parquet"),),
    ),
    Entry(
        slug="lightgcl",
        name="LightGCL",
        field="recommend",
        paper="Cai et al., 2023, ICLR, arXiv 2302.08191",
        target="nearfar.recommend.methods.lightgcl:LightGCL",
        summary="A user or item finds itself among all, from its propagation over a low-rank copy of the graph.",
        parts=Parts(
            views="the graph of choices and its best low-rank approximation",
            encoder="embeddings and linear propagation, sum over layers",
            head="none",
            loss="InfoNCE among all users and all items, and Bayesian personalised ranking",
        ),
        verbs=("ranks",),
        paper_training={"epochs": 100, "batch_size": 4096},
        laptop={"epochs": 60, "batch_size": 1024, "optimization.lr": 5e-3},
        tiny={"epochs": 2},
        commands=(("rank the items for users", "nearfar recommend RUN users.csv -k 20 -o out.parquet"),),
    ),
    Entry(
        slug="rearm",
        name="REARM",
        field="recommend",
        paper="Ma et al., 2025, ACM MM, DOI 10.1145/3746027.3755779",
        target="nearfar.recommend.methods.rearm:REARM",
        summary="Pictures and texts agree by contrast and keep what each has alone; a meta-network joins them.",
        parts=Parts(
            views="two kinds of features of an item, and of a user's choices",
            encoder="graphs of resemblance and of common choices, attention, linear propagation",
            head="a meta-network of low rank",
            loss="Bayesian personalised ranking, contrast between kinds, orthogonality",
        ),
        verbs=("ranks",),
        paper_training={"epochs": 2000, "batch_size": 2048},
        laptop={"epochs": 40, "batch_size": 1024, "optimization.lr": 5e-3, "layers": 2},
        tiny={"epochs": 1, "dim": 8},
        commands=(("rank the items for users", "nearfar recommend RUN users.csv -k 20 -o out.parquet"),),
    ),
)
