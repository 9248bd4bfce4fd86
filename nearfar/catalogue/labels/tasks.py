"""Methods for tasks that arrive one after another."""

from nearfar.catalogue.labels.labelled import SMALL, TINY
from nearfar.system import Entry, Parts

STREAM = {**SMALL, "batch_size": 64, "steps": 500}

ENTRIES = (
    Entry(
        slug="cassle",
        name="CaSSLe",
        field="labels",
        paper="Fini et al., 2022, CVPR, arXiv 2112.04215",
        target="nearfar.labels.methods.cassle:CaSSLe",
        summary="On task after task the present projections must predict those of the network before the task.",
        parts=Parts(
            views="two random crops with colour distortion",
            encoder="ResNet for small pictures",
            head="2-layer MLP with batch norm, and a predictor of the past",
            loss="NT-Xent + InfoNCE of predicted and past projections, both directions",
            update="a frozen copy of the network, taken when a task begins",
        ),
        paper_training={"epochs": 500, "batch_size": 256},
        laptop={**STREAM, "hidden": 128},
        tiny={**TINY, "size": 8},
        data="digit-tasks",
        commands=(("stream", "nearfar train cassle --data pictures/ --tasks 5"),),
    ),
    Entry(
        slug="sy-con",
        name="Sy-CON",
        field="labels",
        paper="Cha et al., 2023, arXiv 2306.05101",
        target="nearfar.labels.methods.sy_con:SyCON",
        summary="Learning a task and keeping the past share one set of negatives, of the present and the past network.",
        parts=Parts(
            views="two random crops with colour distortion and blur",
            encoder="ResNet for small pictures",
            head="2-layer MLP, and a predictor of the past",
            loss="InfoNCE of queries and keys + InfoNCE of predicted and past projections, same negatives",
            update="momentum encoder, queues of present and past projections, a frozen copy per task",
        ),
        paper_training={"epochs": 500, "batch_size": 256},
        laptop={**STREAM, "hidden": 128, "queue_size": 512},
        tiny={**TINY, "size": 8, "queue_size": 64},
        data="digit-tasks",
        commands=(("stream", "nearfar train sy-con --data pictures/ --tasks 5"),),
    ),
    Entry(
        slug="semicon",
        name="SemiCon",
        field="labels",
        paper="Michel et al., 2022, ICIP, arXiv 2207.05615",
        target="nearfar.labels.methods.semicon:SemiCon",
        summary="A stream goes by once; a small labelled memory is contrasted by class beside it.",
        parts=Parts(
            views="two random crops of the stream's pictures and of the memory's",
            encoder="narrow ResNet",
            head="2-layer MLP without norm",
            loss="SupCon over memory anchors + alpha NT-Xent over stream anchors, one softmax",
            update="reservoir of labelled pictures",
        ),
        paper_training={"epochs": 1, "batch_size": 10},
        laptop={**SMALL, "batch_size": 10, "steps": None, "epochs": 1, "drawn": 60, "memory": 100},
        tiny={"size": 8, "epochs": None, "steps": 2, "batch_size": 16},
        data="digit-tasks",
        commands=(("stream", "nearfar train semicon --data pictures/ --tasks 5 --epochs 1"),),
    ),
    Entry(
        slug="geo-ssl",
        name="Geography-aware SSL",
        field="labels",
        paper="Ayush et al., 2021, ICCV, arXiv 2011.09980",
        target="nearfar.labels.methods.geo_ssl:GeoSSL",
        summary="The same place at another time is the positive, and a side head names the region of the world.",
        parts=Parts(
            views="pictures of one place at two times, each cropped and coloured",
            encoder="ResNet",
            head="2-layer MLP without norm; a linear side head",
            loss="InfoNCE + cross-entropy of clusters of places",
            update="momentum encoder, first-in first-out queue",
        ),
        paper_training={"epochs": 200, "batch_size": 256},
        laptop={**STREAM, "queue_size": 256, "momentum": 0.99, "temperature": 0.1, "regions": 20},
        tiny={**TINY, "queue_size": 64},
        data="places",
    ),
)
