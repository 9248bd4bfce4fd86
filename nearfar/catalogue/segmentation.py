"""Methods on labelled scenes."""

from nearfar.catalogue.system import Parts, System

SYSTEMS = (
    System(
        slug="aligned-segmentation",
        name="Aligned appearances (CARLA-4AGT)",
        field="segmentation",
        paper="2024, arXiv 2412.16592",
        target="nearfar.segmentation.methods.aligned:AlignedSegmentation",
        summary="A segmenter whose features of one scene must agree whatever the light and weather.",
        parts=Parts(
            views="two appearances of one scene, pixel-aligned",
            encoder="segmentation backbone with maps at four depths",
            head="SegFormer decoder",
            loss="cross-entropy of both + cosine, L2 or MMD distance of features",
        ),
        laptop={
            "encoder": "small-pyramid",
            "decoder_width": 64,
            "optimization.lr": 2e-3,
            "batch_size": 8,
            "steps": 300,
        },
    ),
)
