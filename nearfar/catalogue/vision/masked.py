"""Methods on images that leave patches out and predict what was there."""

from nearfar.system import Entry, Parts

# A small transformer and a smaller decoder, for minutes on a CPU.
MASKED = {
    "encoder": "vit-mini",
    "optimization.lr": 1e-3,
    "optimization.lr_batch": None,
    "batch_size": 128,
    "steps": 400,
}
DECODER = {"decoder_width": 64, "decoder_depth": 2, "decoder_heads": 4}

ENTRIES = (
    Entry(
        slug="mae",
        name="MAE: masked autoencoders",
        field="vision",
        paper="He et al., 2021, arXiv 2111.06377",
        target="nearfar.vision.methods.mae:MAE",
        summary="Leave out three quarters of an image's patches and draw them from the rest.",
        parts=Parts(
            views="one random crop, and a quarter of its patches",
            encoder="vision transformer on the patches that are left",
            head="a smaller transformer on all patches",
            loss="squared error of the hidden patches' normalised pixels",
        ),
        paper_training={"epochs": 800, "batch_size": 4096},
        laptop={**MASKED, **DECODER},
        data="shapes",
        tiny={"size": 16},
    ),
    Entry(
        slug="r-mae",
        name="R-MAE: regions meet masked autoencoders",
        field="vision",
        paper="Nguyen et al., 2024, arXiv 2306.05411",
        target="nearfar.vision.methods.r_mae:RMAE",
        summary="MAE that also tells, for segments found without labels, where they go on in the hidden patches.",
        parts=Parts(
            views="one random crop, a quarter of its patches, and the same quarter of maps of its segments",
            encoder="vision transformer on the patches that are left",
            head="MAE's decoder; a query for each region and a decoder that answers it",
            loss="squared error of hidden pixels + cross-entropy of the regions' maps there",
        ),
        paper_training={"epochs": 800, "batch_size": 4096},
        laptop={
            **MASKED,
            **DECODER,
            "batch_size": 64,
            "regions": 4,
            "region_dim": 64,
            "region_depth": 2,
            "region_heads": 4,
            "scale": 300.0,
            "min_size": 20,
        },
        data="shape-scenes",
        tiny={"size": 16},
    ),
    Entry(
        slug="iwm",
        name="IWM: image world models",
        field="vision",
        paper="Garrido et al., 2024, arXiv 2403.00504",
        target="nearfar.vision.methods.iwm:IWM",
        summary="Predict hidden latents of a picture in other colours, being told how the colours change.",
        parts=Parts(
            views="one random crop in two colours, the source also blurred, grey or solarised and with blocks left out",
            encoder="vision transformer on the patches that are left",
            head="predictor that is told the change of colours",
            loss="squared distance of the hidden patches' latents",
            update="teacher with momentum rising to 1",
        ),
        paper_training={"epochs": 300, "batch_size": 2048},
        laptop={
            **MASKED,
            "predictor_width": 96,
            "predictor_depth": 4,
            "predictor_heads": 4,
            "normalise": True,
            # Changes that are easily seen, so that a short run learns what they do.
            "strength": 2.0,
            "crop_min": 0.6,
            "optimization.lr": 2e-3,
            "batch_size": 64,
        },
        data="shapes",
        tiny={"size": 16},
    ),
)
