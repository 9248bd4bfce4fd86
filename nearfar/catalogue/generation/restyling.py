"""Systems that give pictures another style."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="zecon",
        name="ZeCon",
        field="generation",
        kind="procedure",
        paper="Yang et al., 2023, ICCV, arXiv 2303.08622",
        target="nearfar.generation.methods.zecon:ZeCon",
        summary="Gives a picture the style of a text by a frozen diffusion model; places must find themselves again.",
        parts=Parts(
            views="places of the picture that is being made; the same places of the source; its other places",
            encoder="the way down of a frozen diffusion U-net",
            head="none",
            loss="PatchNCE of every resolution, beside distances to a text in CLIP",
            update="frozen; gradients move the picture",
        ),
        verbs=("generates",),
        data="tinted-digits",
        commands=(
            (
                "restyle pictures",
                "nearfar generate zecon PICTURES -o FOLDER --base FOLDER --guide hf:openai/clip-vit-base-patch16 "
                '--text "a watercolour" --source "a photo"',
            ),
            ("try it", 'nearfar generate zecon -o FOLDER --text "a picture in green"'),
        ),
        tags={"negatives": "batch"},
    ),
)
