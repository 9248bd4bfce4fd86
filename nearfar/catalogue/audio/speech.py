"""Methods that write down what is said."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="clc",
        name="CLC for conversations",
        field="audio",
        paper="2024, ICASSP, arXiv 2401.02417",
        target="nearfar.audio.methods.clc:CLC",
        summary="A recogniser learns from dialogs that nobody wrote down: past finds future, and corrections judge.",
        parts=Parts(
            views="turns of a dialog before and after another; hypotheses of a turn that was said again",
            encoder="convolutions and a recurrent network on log-mel spectrograms",
            head="one Linear on averaged frames; one Linear to letters",
            loss="CTC, InfoNCE of past and future, and cross-entropy of hypotheses with their likeness",
        ),
        verbs=("embeds", "predicts"),
        laptop={"width": 128, "optimization.lr": 3e-3, "batch_size": 16, "steps": 200},
        tiny={"width": 32, "count": 12, "batch_size": 4},
        data="dialogs",
        commands=(("learn from OD3", "nearfar train clc --data od3_train.jsonl"),),
    ),
)
