"""Generation and restoration, as a field."""

from nearfar.generation.data import EMBEDDED, load
from nearfar.generation.evaluation import evaluate
from nearfar.generation.sheets import pictures
from nearfar.generation.writing import clear, pending, write
from nearfar.system import Field

FIELD = Field(
    name="generation",
    load=load,
    protocol=evaluate,
    show=pictures,
    write=write,
    pending=pending,
    clear=clear,
    embedded=EMBEDDED,
)
