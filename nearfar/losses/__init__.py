"""Every objective, once, as a pure function of tensors: no state, no ranks, no devices.

Embeddings are L2-normalised inside, the temperature divides the logits, half precision is computed in
float32 (under autocast too) and float64 stays float64. Softmax-type losses never hold a large similarity
matrix: it is made in tiles, exactly, and memory grows linearly with the batch. The tiled losses have first
derivatives only; asking for a second one, in whatever way, or for ``torch.func`` raises an error. The others have
second derivatives too.

A loss returns one scalar, or a dictionary of named terms whose sum is the loss. With several processes gather
the embeddings first, then every process computes the loss of the whole batch; in a training step they share the
work of large ones.

A folder per family, each with a table of what is in it:
:mod:`nearfar.losses.contrast`, positives against negatives;
:mod:`nearfar.losses.alignment`, positives without negatives: regression, statistics of dimensions, entropy;
:mod:`nearfar.losses.clustering`, assignments to clusters and words;
:mod:`nearfar.losses.control`, goals, skills and futures of agents;
:mod:`nearfar.losses.dense`, maps: cells, pixels, patches, regions;
:mod:`nearfar.losses.labels`, labels that are rare, hierarchical, weak, incomplete or of the past;
:mod:`nearfar.losses.reconstruction`, what is hidden, predicted;
:mod:`nearfar.losses.decoding`, scores of the next word from several looks at it;
:mod:`nearfar.losses.preference`, policies from comparisons, by log-probabilities of sequences;
:mod:`nearfar.losses.graphs`, whole graphs, neighbours and clusters of nodes;
:mod:`nearfar.losses.recommendation`, users and items;
:mod:`nearfar.losses.anomaly`, what is normal, so that what is not stands out;
:mod:`nearfar.losses.generation`, codes, directions and patches of generating models;
:mod:`nearfar.losses.sequences`, steps and windows of time series;
:mod:`nearfar.losses.text`, sentences that people judged, and lists of them.
"""

from nearfar.losses import (
    alignment,
    anomaly,
    clustering,
    contrast,
    control,
    decoding,
    dense,
    generation,
    graphs,
    labels,
    preference,
    recommendation,
    reconstruction,
    sequences,
    text,
)
from nearfar.losses.alignment import *  # noqa: F403
from nearfar.losses.anomaly import *  # noqa: F403
from nearfar.losses.clustering import *  # noqa: F403
from nearfar.losses.contrast import *  # noqa: F403
from nearfar.losses.control import *  # noqa: F403
from nearfar.losses.decoding import *  # noqa: F403
from nearfar.losses.dense import *  # noqa: F403
from nearfar.losses.generation import *  # noqa: F403
from nearfar.losses.graphs import *  # noqa: F403
from nearfar.losses.labels import *  # noqa: F403
from nearfar.losses.preference import *  # noqa: F403
from nearfar.losses.recommendation import *  # noqa: F403
from nearfar.losses.reconstruction import *  # noqa: F403
from nearfar.losses.sequences import *  # noqa: F403
from nearfar.losses.text import *  # noqa: F403

__all__: list[str] = []
__all__ += contrast.__all__
__all__ += alignment.__all__
__all__ += clustering.__all__
__all__ += control.__all__
__all__ += dense.__all__
__all__ += generation.__all__
__all__ += graphs.__all__
__all__ += recommendation.__all__
__all__ += labels.__all__
__all__ += reconstruction.__all__
__all__ += decoding.__all__
__all__ += anomaly.__all__
__all__ += sequences.__all__
__all__ += preference.__all__
__all__ += text.__all__
