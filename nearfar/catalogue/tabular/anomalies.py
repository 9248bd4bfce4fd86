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
)
