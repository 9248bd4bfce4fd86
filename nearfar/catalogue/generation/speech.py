"""Systems that speak."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="ctap-diffusion-tts",
        name="CTAP with three diffusions",
        field="generation",
        paper="Qiang et al., 2023, arXiv 2309.15512",
        target="nearfar.generation.methods.ctap_diffusion_tts:CTAPDiffusion",
        summary="Speech from phonemes by way of frames that contrast has taught; most recordings need no text.",
        parts=Parts(
            views="frames of speech and the phonemes that last for them",
            encoder="convolutions and a transformer for either side",
            head="denoisers of durations, of semantic frames and of spectrograms",
            loss="InfoNCE of frames both ways, then squared errors of noise",
        ),
        verbs=("generates",),
        paper_training={"steps": 200000, "batch_size": 32},
        laptop={
            "sizes.dim": 16,
            "sizes.width": 48,
            "sizes.layers": 1,
            "contrast": 0.3,
            "levels": 100,
            "sampling": 20,
            "optimization.lr": 3e-3,
            "batch_size": 16,
            "steps": 800,
        },
        data="speech",
        tiny={"steps": 4, "examples": 48, "sizes.width": 16, "sampling": 3, "contrast": 0.5},
        commands=(("speak phonemes in the voice of recordings", "nearfar generate RUN LINES.jsonl -o OUT"),),
        tags={"negatives": "batch"},
    ),
)
