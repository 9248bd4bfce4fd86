"""Methods on sounds with captions."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="clsr",
        name="CLSR",
        field="audio",
        paper="Luo et al., 2023, ICTAI, arXiv 2309.08839",
        target="nearfar.audio.methods.clsr:CLSR",
        summary="Sounds and captions find each other, keep apart among their own kind, and rebuild each other.",
        parts=Parts(
            views="a stretch of a sound and one of its captions",
            encoder="PANNs' CNN14 on log-mel spectrograms, and a transformer on captions",
            head="MLP of two layers for each",
            loss="InfoNCE between and inside modalities, temperatures by likeness, the other latent rebuilt",
        ),
        paper_training={"epochs": 50, "batch_size": 32},
        laptop={
            "encoder": "small-conv",
            "mel.bands": 40,
            "mel.hop": 0.016,
            "seconds": 0.8,
            "towers.text": "tiny-bert",
            "towers.max_length": 16,
            "towers.hidden": 128,
            "towers.dim": 64,
            "optimization.lr": 1e-3,
            "steps": 300,
            "batch_size": 48,
        },
        tiny={"seconds": 0.2, "steps": 3, "count": 24, "batch_size": 12},
        data="events",
    ),
)
