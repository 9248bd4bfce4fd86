"""Systems that write by hand."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="dss-ink",
        name="DSS",
        field="generation",
        paper="Timofeev et al., 2023, ICDAR, arXiv 2311.17786",
        target="nearfar.generation.methods.dss_ink:DSSInk",
        summary="Long handwriting in one hand: joined training inks, styles learned by contrast, writing in pieces.",
        parts=Parts(
            views="two halves of one ink; inks joined to others",
            encoder="LSTM in both directions to a style",
            head="LSTMs with a window that slides over the text, and a mixture of Gaussians for each step",
            loss="NT-Xent of styles + likelihood of the pen's steps",
        ),
        verbs=("embeds", "generates"),
        paper_training={"steps": 100000, "batch_size": 64},
        laptop={
            "alphabet": "cehilnotuvxz ",
            "width": 96,
            "parts": 5,
            "windows": 5,
            "style_dim": 16,
            "style_width": 32,
            "most_joined": 2,
            "optimization.lr": 5e-3,
            "batch_size": 16,
            "steps": 600,
        },
        data="inks",
        tiny={"steps": 2, "examples": 40, "width": 16, "style_width": 8, "batch_size": 8},
        commands=(("write texts in the hands of inks", "nearfar generate RUN INKS.jsonl -o OUT"),),
        tags={"negatives": "batch"},
    ),
)
