"""Methods on labelled scenes."""

from nearfar.system import Entry, Parts

# Small batches and many steps: at an equal number of pictures they learned more than large batches.
_SMALL = {
    "encoder": "small-pyramid",
    "decoder_width": 32,
    "head_lr": 1.0,
    "crop.size": None,
    "optimization.lr": 2e-3,
    "batch_size": 2,
    "steps": 2500,
}
_ADAPTED = {**_SMALL, "momentum": 0.99, "steps": 2000}
# 27 of our pixels are the share that 3000 are in the paper; random weights have nothing to be kept near to.
_RARE = {"rare_class_pixels": 27, "feature_distance": 0.0}
# Wide separable convolutions are slow on a processor.
_CONTEXT = {"decoder_width": 16, "steps": 1500}

ENTRIES = (
    Entry(
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
        paper_training={"steps": 40000, "batch_size": 2},
        laptop={**_SMALL, "alignment": 0.1},
        tiny={"scenes": 8, "size": 32},
    ),
    Entry(
        slug="dacs",
        name="DACS",
        field="segmentation",
        paper="Tranheden et al., 2021, arXiv 2007.08702",
        target="nearfar.segmentation.methods.dacs:DACS",
        summary="A segmenter adapts to unlabelled pictures on mixtures of both domains, labelled by its own average.",
        parts=Parts(
            views="half of the classes of a labelled scene over an unlabelled picture, strong colours",
            encoder="segmentation backbone with maps at four depths",
            head="SegFormer decoder",
            loss="cross-entropy of scene and mixture, the latter weighted by the teacher's sureness",
            update="mean teacher that labels the pictures",
        ),
        paper_training={"steps": 250000, "batch_size": 2},
        laptop=_ADAPTED,
        data="street-adaptation",
        tiny={"scenes": 8, "size": 32},
    ),
    Entry(
        slug="aligned-adaptation",
        name="Aligned appearances in domain adaptation (CARLA-4AGT)",
        field="segmentation",
        paper="2024, arXiv 2412.16592",
        target="nearfar.segmentation.methods.aligned_adaptation:AlignedAdaptation",
        summary="Self-training whose features agree on two appearances of a scene, plain and mixed with the target.",
        parts=Parts(
            views="two appearances of one scene, and both mixed with one picture by one mask",
            encoder="segmentation backbone with maps at four depths",
            head="DAFormer or SegFormer decoder",
            loss="that of DAFormer or DACS + cosine, L2 or MMD distance of features, plain and mixed",
            update="mean teacher that labels the pictures",
        ),
        paper_training={"steps": 40000, "batch_size": 2},
        laptop={**_ADAPTED, **_RARE, "base": "dacs", "alignment": 0.1, "mixed_alignment": 0.1},
        data="street-adaptation",
        tiny={"scenes": 8, "size": 32},
    ),
    Entry(
        slug="daformer",
        name="DAFormer",
        field="segmentation",
        paper="Hoyer, Dai and Van Gool, 2022, arXiv 2111.14887",
        target="nearfar.segmentation.methods.daformer:DAFormer",
        summary="Self-training with a context-aware decoder, rare classes drawn more often, ImageNet's features kept.",
        parts=Parts(
            views="as DACS, scenes drawn for their rare classes",
            encoder="Mix Transformer with maps at four depths",
            head="context-aware fusion of all depths",
            loss="as DACS + distance of things' features to a frozen reference",
            update="mean teacher that labels the pictures",
        ),
        paper_training={"steps": 40000, "batch_size": 2},
        laptop={**_ADAPTED, **_RARE, **_CONTEXT},
        data="street-adaptation",
        tiny={"scenes": 8, "size": 32},
    ),
    Entry(
        slug="hrda",
        name="HRDA",
        field="segmentation",
        paper="Hoyer, Dai and Van Gool, 2022, arXiv 2204.13132",
        target="nearfar.segmentation.methods.hrda:HRDA",
        summary="DAFormer that sees context at half resolution and details at full, joined by attention over scales.",
        parts=Parts(
            views="as DAFormer; a large window at half its size and a part of it at full size",
            encoder="Mix Transformer with maps at four depths, one for both resolutions",
            head="context-aware fusion, and an attention over scales",
            loss="cross-entropy of the fused prediction and of the detail",
            update="mean teacher that labels the pictures",
        ),
        paper_training={"steps": 40000, "batch_size": 2},
        laptop={**_ADAPTED, **_RARE, **_CONTEXT},
        data="street-adaptation",
        tiny={"scenes": 8, "size": 32},
    ),
)
