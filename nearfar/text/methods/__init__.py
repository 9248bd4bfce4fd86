"""One file per method on sentences."""

from nearfar.text.methods.sentence_bert import SentenceBERT
from nearfar.text.methods.simcse import SimCSE

__all__ = ["SentenceBERT", "SimCSE"]
