"""One file per method on sentences."""

from nearfar.text.methods.micse import MiCSE
from nearfar.text.methods.promcse import PromCSE
from nearfar.text.methods.sentence_bert import SentenceBERT
from nearfar.text.methods.simcse import SimCSE

__all__ = ["MiCSE", "PromCSE", "SentenceBERT", "SimCSE"]
