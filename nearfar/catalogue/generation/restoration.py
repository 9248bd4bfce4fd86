"""Systems that restore pictures."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="pcl-sr",
        name="PCL-SR",
        field="generation",
        paper="Wu et al., 2021, arXiv 2111.13924",
        target="nearfar.generation.methods.pcl_sr:PCLSR",
        summary="Enlarges pictures; a critic's features pull results to sharpened truths and off blurred ones.",
        parts=Parts(
            views="the restored picture; sharpened versions of the true one; blurred versions of it",
            encoder="EDSR or RCAN",
            head="features of a critic of wavelet details",
            loss="L1 + InfoNCE of features place by place; dual contrast for the critic",
            update="network and critic in turns",
        ),
        verbs=("generates",),
        paper_training={"epochs": 600, "batch_size": 16},
        laptop={
            "network": "edsr-small",
            "scale": 2,
            "patch": 32,
            "critic_width": 8,
            "pretraining": 0.6,
            "optimization.lr": 1e-3,
            "batch_size": 8,
            "steps": 500,
        },
        data="photos",
        tiny={"steps": 2, "size": 32, "examples": 40},
        commands=(("enlarge pictures", "nearfar generate RUN FOLDER -o OUT"),),
        tags={"negatives": "synthetic"},
    ),
)
