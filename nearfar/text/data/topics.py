"""The topics of the generated grammar: what is done to what, typically by whom and where.

Several words deliberately express more than one concept ("record", "card", "set up", "check"), so that
counting words is informative but does not settle the meaning. See `nearfar.text.data.lexicon` for the
notation.
"""

from __future__ import annotations

from nearfar.text.data.lexicon import Topic

__all__ = ["TOPICS"]

TOPICS: dict[str, Topic] = {
    "cooking": Topic(
        actions=(
            "cook/cooked|prepare/prepared|make/made",
            "taste/tasted|try/tried|sample/sampled",
            "burn/burned|scorch/scorched|char/charred",
            "serve/served|dish up/dished up|offer/offered",
        ),
        objects=(
            "soup|broth|stew",
            "meal|dinner|supper",
            "cake|gateau|tart",
            "meat|beef|steak",
            "bread|loaf",
            "sauce|gravy",
        ),
        agents=("the woman", "the visitor", "the farmer"),
        places=("at home", "in the garden", "at the market"),
    ),
    "banking": Topic(
        actions=(
            "transfer/transferred|send/sent|wire/wired",
            "check/checked|examine/examined|review/reviewed",
            "close/closed|cancel/cancelled|terminate/terminated",
            "open/opened|set up/set up|create/created",
        ),
        objects=(
            "account|deposit",
            "payment|instalment",
            "loan|credit|advance",
            "card|debit card",
            "cash|money",
            "bill|invoice",
        ),
        agents=("the boss", "the lawyer", "the old man"),
        places=("at the office", "in the city", "at home"),
    ),
    "travel": Topic(
        actions=(
            "book/booked|reserve/reserved|arrange/arranged",
            "cancel/cancelled|call off/called off|drop/dropped",
            "delay/delayed|postpone/postponed|put off/put off",
            "take/took/taken|board/boarded|catch/caught",
        ),
        objects=(
            "flight|plane|airliner",
            "train|express",
            "trip|journey|voyage",
            "coach|bus",
            "boat|ferry|ship",
            "taxi|cab",
        ),
        agents=("the visitor", "the student", "the boss"),
        places=("at the station", "abroad", "in the city"),
    ),
    "music": Topic(
        actions=(
            "play/played|perform/performed|present/presented",
            "record/recorded|tape/taped|capture/captured",
            "compose/composed|write/wrote/written|create/created",
            "practise/practised|rehearse/rehearsed|study/studied",
        ),
        objects=(
            "song|tune|melody",
            "concerto|concert piece",
            "waltz|dance",
            "anthem|hymn",
            "serenade|love song",
            "march|parade tune",
        ),
        agents=("the student", "the child", "the old man"),
        places=("in the park", "in the street", "at school"),
    ),
    "school": Topic(
        actions=(
            "explain/explained|present/presented|teach/taught",
            "study/studied|learn/learned|review/reviewed",
            "grade/graded|mark/marked|check/checked",
            "write/wrote/written|draft/drafted|prepare/prepared",
        ),
        objects=(
            "lesson|class|lecture",
            "essay|paper|composition",
            "exam|test|quiz",
            "homework|assignment",
            "textbook|book|volume",
            "report|account",
        ),
        agents=("the teacher", "the student", "the child"),
        places=("at school", "at home", "at the office"),
    ),
    "health": Topic(
        actions=(
            "examine/examined|check/checked|inspect/inspected",
            "treat/treated|heal/healed|cure/cured",
            "report/reported|describe/described|mention/mentioned",
            "ignore/ignored|neglect/neglected|overlook/overlooked",
        ),
        objects=(
            "wound|injury|cut",
            "fever|high temperature",
            "cough|cold",
            "toothache|bad tooth",
            "rash|skin trouble",
            "illness|disease|sickness",
        ),
        agents=("the doctor", "the old man", "the child"),
        places=("at home", "at the office", "in the village"),
    ),
    "sport": Topic(
        actions=(
            "win/won|secure/secured|take/took/taken",
            "lose/lost|drop/dropped|give away/gave away/given away",
            "watch/watched|follow/followed|see/saw/seen",
            "organise/organised|arrange/arranged|set up/set up",
        ),
        objects=(
            "match|game|contest",
            "race|run|sprint",
            "cup|trophy|title",
            "fight|bout",
            "league|championship",
            "point|goal",
        ),
        agents=("the child", "the teacher", "the student"),
        places=("in the park", "at school", "abroad"),
    ),
    "shopping": Topic(
        actions=(
            "buy/bought|purchase/purchased|acquire/acquired",
            "sell/sold|trade/traded|offer/offered",
            "return/returned|bring back/brought back|take back/took back/taken back",
            "choose/chose/chosen|select/selected|pick/picked",
        ),
        objects=(
            "shirt|blouse|top",
            "coat|jacket|parka",
            "phone|mobile|handset",
            "watch|timepiece",
            "gift|present|souvenir",
            "dress|gown|robe",
        ),
        agents=("the woman", "the visitor", "the neighbour"),
        places=("at the market", "in the city", "in the street"),
    ),
    "gardening": Topic(
        actions=(
            "plant/planted|sow/sowed/sown|put in/put in",
            "water/watered|irrigate/irrigated|spray/sprayed",
            "cut/cut|trim/trimmed|prune/pruned",
            "pick/picked|gather/gathered|harvest/harvested",
        ),
        objects=(
            "flower|bloom|blossom",
            "tree|sapling",
            "hedge|bush|shrub",
            "herb|spice plant",
            "fruit|berry",
            "vine|creeper",
        ),
        agents=("the farmer", "the neighbour", "the old man"),
        places=("in the garden", "in the park", "in the village"),
    ),
    "repair": Topic(
        actions=(
            "fix/fixed|repair/repaired|mend/mended",
            "break/broke/broken|damage/damaged|wreck/wrecked",
            "paint/painted|coat/coated|varnish/varnished",
            "replace/replaced|change/changed|swap/swapped",
        ),
        objects=(
            "engine|motor",
            "roof|rooftop",
            "bicycle|bike|cycle",
            "pipe|tube|duct",
            "car|vehicle|automobile",
            "lamp|light|lantern",
        ),
        agents=("the neighbour", "the boss", "the farmer"),
        places=("in the street", "at home", "at the station"),
    ),
    "mail": Topic(
        actions=(
            "send/sent|post/posted|mail/mailed",
            "receive/received|get/got|obtain/obtained",
            "read/read|study/studied|look through/looked through",
            "sign/signed|endorse/endorsed|approve/approved",
        ),
        objects=(
            "letter|note|message",
            "parcel|package|box",
            "invitation|invite",
            "contract|agreement|deal",
            "postcard|card",
            "form|document|sheet",
        ),
        agents=("the lawyer", "the boss", "the woman"),
        places=("at the office", "at home", "abroad"),
    ),
    "cleaning": Topic(
        actions=(
            "wash/washed|clean/cleaned|rinse/rinsed",
            "sweep/swept|brush/brushed|wipe/wiped",
            "tidy/tidied|straighten/straightened|arrange/arranged",
            "empty/emptied|clear/cleared|drain/drained",
        ),
        objects=(
            "floor|ground",
            "window|pane",
            "cupboard|closet|cabinet",
            "carpet|rug|mat",
            "sink|basin",
            "room|chamber|bedroom",
        ),
        agents=("the woman", "the neighbour", "the child"),
        places=("at home", "at school", "at the office"),
    ),
    "cinema": Topic(
        actions=(
            "watch/watched|see/saw/seen|view/viewed",
            "film/filmed|shoot/shot|record/recorded",
            "praise/praised|applaud/applauded|admire/admired",
            "criticise/criticised|condemn/condemned|attack/attacked",
        ),
        objects=(
            "film|movie|picture",
            "actor|performer|star",
            "scene|episode|sequence",
            "plot|story|tale",
            "play|drama",
            "trailer|preview",
        ),
        agents=("the visitor", "the teacher", "the student"),
        places=("in the city", "abroad", "in the park"),
    ),
    "justice": Topic(
        actions=(
            "accuse/accused|charge/charged|blame/blamed",
            "arrest/arrested|detain/detained|catch/caught",
            "defend/defended|support/supported|protect/protected",
            "question/questioned|interrogate/interrogated|interview/interviewed",
        ),
        objects=(
            "thief|burglar|robber",
            "witness|onlooker",
            "suspect|defendant",
            "judge|magistrate",
            "driver|motorist",
            "killer|murderer",
        ),
        agents=("the policeman", "the lawyer", "the boss"),
        places=("in the street", "in the city", "at the station"),
    ),
    "animals": Topic(
        actions=(
            "feed/fed|nourish/nourished",
            "train/trained|teach/taught|tame/tamed",
            "catch/caught|capture/captured|trap/trapped",
            "free/freed|release/released|let go/let go",
        ),
        objects=(
            "dog|hound",
            "cat|kitten",
            "horse|pony|mare",
            "pig|hog|swine",
            "rabbit|bunny|hare",
            "donkey|mule",
        ),
        agents=("the farmer", "the child", "the doctor"),
        places=("in the village", "near the river", "in the garden"),
    ),
    "computing": Topic(
        actions=(
            "install/installed|set up/set up|load/loaded",
            "delete/deleted|erase/erased|remove/removed",
            "test/tested|check/checked|try/tried",
            "copy/copied|duplicate/duplicated|back up/backed up",
        ),
        objects=(
            "program|application|software",
            "file|document|record",
            "database|archive",
            "system|network",
            "password|code|key",
            "website|page|site",
        ),
        agents=("the student", "the boss", "the teacher"),
        places=("at the office", "at school", "at home"),
    ),
}
"""Any action of a topic may take any of its objects."""
