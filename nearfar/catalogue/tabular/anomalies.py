"""Methods that find strange rows."""

from nearfar.system import Entry, Parts

COMMANDS = (("rate the rows of a table", "nearfar score RUN new.csv -o scores.parquet"),)

ENTRIES = (
    Entry(
        slug="slad",
        name="SLAD",
        field="tabular",
        paper="Xu et al., 2023, ICML, arXiv 2305.16114",
        target="nearfar.tabular.methods.slad:SLAD",
        summary="Tell from images of a row's parts how large the parts were; where that fails, the row is strange.",
        parts=Parts(
            views="ten random subsets of a row's features, mapped to one width by fixed maps",
            encoder="2-layer MLP without biases",
            head="none",
            loss="divergence of the distributions of predicted and true sizes over the parts",
        ),
        verbs=("scores",),
        paper_training={"epochs": 200, "batch_size": 128},
        laptop={"epochs": 100, "batch_size": 128},
        tiny={"epochs": 2, "groups": 4},
        commands=COMMANDS,
    ),
    Entry(
        slug="clan",
        name="CLAN",
        field="tabular",
        paper="Wilkie et al., 2025, IEEE CSR, DOI 10.1109/CSR64739.2025.11129979",
        target="nearfar.tabular.methods.clan:CLAN",
        summary="All normal rows attract each other, rows with features drawn anew are their negatives.",
        parts=Parts(
            views="rows as they are, and rows with a tenth of the features drawn anew",
            encoder="MLP of four residual blocks",
            head="none",
            loss="distance between normal rows and hinge to changed ones, each averaged over the pairs that count",
            update="running mean of the embeddings of normal rows",
        ),
        verbs=("embeds", "scores"),
        paper_training={"epochs": 200, "batch_size": 8192},
        laptop={"epochs": 100, "batch_size": 256, "hidden": 128, "layers": 3, "optimization.lr": 1e-3},
        tiny={"epochs": 2},
        commands=COMMANDS,
    ),
)
