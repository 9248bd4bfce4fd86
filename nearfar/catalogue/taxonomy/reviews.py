"""Two reviews whose terms `nearfar list` answers in."""

from nearfar.system import Entry

ENTRIES = (
    Entry(
        slug="survey-contrastive-ssl",
        name="Survey of contrastive self-supervised learning",
        field="taxonomy",
        paper="Jaiswal et al., 2020, arXiv 2011.00362",
        kind="study",
        summary="Which pretext keeps which property: what is made invariant is lost.",
        commands=(
            ("where negatives come from", "nearfar list --by negatives"),
            ("by pretext", "nearfar list --views masking"),
        ),
    ),
    Entry(
        slug="framework-review",
        name="Framework and review",
        field="taxonomy",
        paper="Le-Khac et al., 2020, arXiv 2010.05113",
        kind="study",
        summary="Similarity, encoder, head and loss as one framework; losses as bounds of mutual information.",
        commands=(("by loss", "nearfar list --by loss"), ("by head", "nearfar list --by head")),
    ),
)
