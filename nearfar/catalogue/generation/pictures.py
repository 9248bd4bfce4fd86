"""Systems that make pictures by diffusion."""

from nearfar.system import Entry, Parts


def small(net: str, base: int) -> dict[str, object]:
    """Settings of a U-net that learns embedded pictures."""
    sizes = {"base": base, "times": (1, 2), "blocks": 1, "attention": (), "dropout": 0.0}
    return {f"{net}.{name}": value for name, value in sizes.items()}


ENTRIES = (
    Entry(
        slug="infodiffusion",
        name="InfoDiffusion",
        field="generation",
        paper="Wang et al., 2023, ICML, arXiv 2306.08757",
        target="nearfar.generation.methods.infodiffusion:InfoDiffusion",
        summary="A diffusion whose denoiser is told a small code, and codes that are drawn towards a prior.",
        parts=Parts(
            views="the picture and the picture noised",
            encoder="U-net to a code",
            head="denoising U-net that is told the code in every block",
            loss="squared error of the noise, and the maximum mean discrepancy of codes from a prior",
            update="averaged weights",
        ),
        verbs=("embeds", "generates"),
        paper_training={"epochs": 50, "batch_size": 32},
        laptop={
            "steps": 400,
            "batch_size": 32,
            "dim": 8,
            "bandwidth": "median",
            "noise.steps": 200,
            "noise.first": 5e-5,
            "noise.last": 5e-2,
            "noise.sampling": 25,
            "averaging": 0.99,
            "optimization.lr": 5e-3,
            **small("encoder_widths", 8),
            **small("widths", 16),
        },
        tiny={
            "steps": 2,
            "batch_size": 16,
            "encoder_widths.base": 8,
            "widths.base": 8,
            "noise.sampling": 3,
            "size": 8,
            "examples": 40,
        },
        tags={"negatives": "none"},
        commands=(
            ("make new pictures", "nearfar generate RUN new -o FOLDER --count 64"),
            ("rebuild pictures from their codes", "nearfar generate RUN PICTURES -o FOLDER"),
        ),
    ),
    Entry(
        slug="noiseclr",
        name="NoiseCLR",
        field="generation",
        paper="Dalva and Yanardag, 2024, CVPR, arXiv 2312.05390",
        target="nearfar.generation.methods.noiseclr:NoiseCLR",
        summary="Learns, without labels, words for what a frozen diffusion model can change in any picture.",
        parts=Parts(
            views="what a direction changes in the noise that is seen in different pictures; what others change",
            encoder="vectors of new words of a frozen text-to-picture diffusion model",
            head="none",
            loss="ratio of mean exponentials of cosines, directions against each other",
            update="gradients only",
        ),
        verbs=("generates",),
        paper_training={"steps": 1000, "batch_size": 6},
        laptop={
            "base": "made:sprites",
            "size": 8,
            "steps": 150,
            "batch_size": 6,
            "directions": 6,
            "initial": "normal",
            "flip": False,
            "together": 6,
            "editing.steps": 20,
            "optimization.lr": 2e-2,
        },
        tiny={
            "base": "made:sprites-quick",
            "steps": 2,
            "batch_size": 4,
            "directions": 3,
            "editing.steps": 2,
            "editing.shown": 2,
            "examples": 40,
        },
        commands=(
            ("change pictures along every direction", "nearfar generate RUN PICTURES -o FOLDER"),
            ("change new pictures", "nearfar generate RUN new -o FOLDER --count 16"),
        ),
        tags={"negatives": "batch"},
    ),
    Entry(
        slug="cdcd",
        name="CDCD",
        field="generation",
        paper="Zhu et al., 2023, ICLR, arXiv 2206.07771",
        target="nearfar.generation.methods.cdcd:CDCD",
        summary="A diffusion of tokens under a condition that unlearns reordered tokens, or those of other examples.",
        parts=Parts(
            views="tokens masked and replaced; tokens in another order, or of other examples",
            encoder="transformer on tokens that is told the level and a class or a caption",
            head="linear layer to tokens",
            loss="KL of every step, and of negatives taken away",
            update="averaged weights",
        ),
        verbs=("generates",),
        paper_training={"epochs": 100, "batch_size": 24},
        laptop={
            "tokens": "grey:4",
            "levels": 20,
            "batch_size": 16,
            "steps": 500,
            "net.width": 32,
            "net.depth": 3,
            "net.heads": 2,
            "averaging_every": 1,
            "optimization.lr": 4e-3,
            "optimization.warmup": 0.05,
            "optimization.schedule": "cosine",
        },
        data="digits",
        tiny={"steps": 2, "net.width": 8, "net.depth": 1, "net.heads": 1, "levels": 4, "contrast.count": 2},
        commands=(
            ("make new pictures of every class", "nearfar generate RUN new -o FOLDER --count 64"),
            ("make others like these", "nearfar generate RUN PICTURES -o FOLDER"),
        ),
        tags={"negatives": "batch"},
    ),
)
