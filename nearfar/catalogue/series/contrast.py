"""Methods on time series."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="ts2vec",
        name="TS2Vec",
        field="series",
        paper="Yue et al., 2021, AAAI 2022, arXiv 2106.10466",
        target="nearfar.series.methods.ts2vec:TS2Vec",
        summary="A step finds itself in another crop of its series, along time and across series, at every scale.",
        parts=Parts(
            views="two overlapping crops with steps hidden by coins",
            encoder="linear map and ten dilated convolution blocks, a vector for every step",
            head="none",
            loss="temporal and instance contrast, summed over scales of max-pooled time",
            update="uniform average of the weights of all steps",
        ),
        verbs=("embeds", "scores"),
        paper_training={"steps": 200, "batch_size": 16},
        laptop={"steps": 200, "batch_size": 16, "hidden": 32, "out_features": 64, "depth": 6},
        tiny={"steps": 4, "depth": 3},
        commands=(
            ("tell what follows a series", "nearfar forecast RUN series.csv --horizon 96 -o forecast.csv"),
            ("rate every step of a series", "nearfar anomalies RUN series.csv -o anomalies.csv"),
        ),
    ),
)
