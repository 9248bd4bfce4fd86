"""Methods on sounds alone."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="cola",
        name="COLA",
        field="audio",
        paper="Saeed, Grangier and Zeghidour, 2020, ICASSP 2021, arXiv 2010.10915",
        target="nearfar.audio.methods.cola:COLA",
        summary="A stretch of a recording finds another stretch of it among those of other recordings.",
        parts=Parts(
            views="two random windows of a recording, noise on the second",
            encoder="EfficientNet-B0 on log-mel spectrograms, maximum over time and bands",
            head="linear layer, layer norm and tanh",
            loss="InfoNCE of a learned bilinear product, in one direction",
        ),
        paper_training={"epochs": 100, "batch_size": 512},
        laptop={
            "encoder": "small-conv",
            "mel.fft": 256,
            "mel.bands": 40,
            "seconds": 0.5,
            "projection_dim": 64,
            "optimization.lr": 1e-3,
            "steps": 300,
            "batch_size": 64,
        },
        tiny={"steps": 3, "count": 24},
    ),
    Entry(
        slug="am-speaker",
        name="Additive-margin speaker verification",
        field="audio",
        paper="Lepage and Dehak, 2023, Interspeech, arXiv 2306.03664",
        target="nearfar.audio.methods.am_speaker:AdditiveMarginSpeaker",
        summary="Two stretches of an utterance find each other by a margin among all stretches of other utterances.",
        parts=Parts(
            views="two random windows of an utterance, in different rooms and noises",
            encoder="thin ResNet-34 with squeeze and excitation, self-attentive pooling over time",
            head="none",
            loss="NT-Xent over both views, a margin taken off the positive's cosine",
        ),
        paper_training={"epochs": 100, "batch_size": 256},
        laptop={"encoder": "small-tdnn", "mel.hop": 0.016, "seconds": 1.0, "steps": 300, "batch_size": 64},
        tiny={"seconds": 0.3, "steps": 3, "count": 6, "batch_size": 12},
        data="voices",
        commands=(("verify a list of trials", "nearfar verify RUN trials.txt --root recordings -o scores.csv"),),
    ),
)
