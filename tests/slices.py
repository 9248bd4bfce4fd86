"""Nine systems, one or two of each shape that the core has to carry: the rows of ``test_slices``."""

from __future__ import annotations

from dataclasses import dataclass

from tests.training.forked import Kill


@dataclass(frozen=True)
class Slice:
    """A system in one of its uses.

    Attributes:
        slug: of its row.
        shape: what the core must bear with.
        words: settings of its run beside the tiny ones.
        kills: where its run kills itself, one process after another; none for what is never trained.
        use: tells the uses of one system apart.
        slow: whether its columns are left to ``make test-long``.
    """

    slug: str
    shape: str
    words: tuple[str, ...] = ("--steps", "6", "--batch-size", "16")
    kills: tuple[Kill, ...] = ()
    use: str = ""
    slow: bool = True

    @property
    def name(self) -> str:
        return f"{self.slug}-{self.use}" if self.use else self.slug


ACTING = ("--envs", "4", "--random-steps", "120", "--capacity", "1000", "--steps", "6", "--batch-size", "16")
RECORDED = ("--data", "point-maze-u-episodes", "--recorded", "600", "--steps", "6", "--batch-size", "16")
# Checkpoints are due every second step, so that these fall between two of them, and into the writing of one.
MIDDLE = (Kill("moved", 4), Kill("torn write", 3), Kill("before rename", 4))
BETWEEN = (Kill("update", 7), Kill("torn write", 3), Kill("before rename", 4))

SLICES = (
    Slice("contrastive-decoding", "a procedure that generates", ("--examples", "60")),
    Slice("dpo", "a language model without embeddings", kills=MIDDLE),
    Slice("contrastive-rl", "interaction, two updates", ACTING, BETWEEN, "online", slow=False),
    Slice("contrastive-rl", "recorded episodes, two updates", RECORDED, BETWEEN, "offline"),
    Slice("ts2vec", "averaged weights, representations of steps", kills=MIDDLE),
    # Five tasks in ten steps: the eighth step is the second of the fourth task.
    Slice("cassle", "a stream of tasks", ("--steps", "10", "--batch-size", "16"), (Kill("moved", 8), *MIDDLE[1:])),
    Slice("ce-gzsl", "two networks in turns", ("--critic-steps", "2", *Slice("", "").words), BETWEEN),
    Slice("infodiffusion", "averaged weights, generates", kills=MIDDLE),
    Slice("lightgcl", "ranks", kills=MIDDLE),
    Slice("slad", "scores", kills=MIDDLE, slow=False),
)
