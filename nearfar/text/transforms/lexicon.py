"""Words that transforms know: which may not be touched, which mean the same, which turn a meaning round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from nearfar.text.data import lexicon
from nearfar.text.data.topics import TOPICS

__all__ = ["AUXILIARIES", "NEGATIONS", "STOP_WORDS", "Lexicon", "small_thesaurus"]


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


NEGATIONS = _words(
    "not no never none nobody nothing neither nor without cannot hardly don't doesn't didn't isn't wasn't aren't",
    "weren't won't can't couldn't shouldn't wouldn't failed unless except",
)
"""Words without which a sentence may say the opposite."""
AUXILIARIES = _words("is are was were am be can could will would shall should may might must do does did has had")
STOP_WORDS = AUXILIARIES | _words(
    "a an the this that these those i you he she it we they me him her us them my your his its our their of in on at",
    "by for with from to into onto over under and or but if then so as than who whom which what when where why how",
)
"""Words that are never replaced by synonyms."""


@cache
def small_thesaurus() -> Mapping[str, tuple[str, ...]]:
    """Some hundred English words and those that can stand for them: the single words that the generated grammar says
    alike, verbs form by form."""
    groups: list[list[str]] = []
    for concept in (
        *lexicon.AGENTS,
        *lexicon.QUALITIES,
        *lexicon.MANNERS,
        *(o for t in TOPICS.values() for o in t.objects),
    ):
        groups.append([phrase.removeprefix("the ") for phrase in concept.split("|")])
    for concept in (action for topic in TOPICS.values() for action in topic.actions):
        forms = lexicon.verb_forms(concept)
        groups += [[getattr(verb, form) for verb in forms] for form in ("base", "past", "participle")]
    found: dict[str, dict[str, None]] = {}
    for group in groups:
        single = [phrase for phrase in group if " " not in phrase]
        for word in single:
            found.setdefault(word, {}).update(dict.fromkeys(other for other in single if other != word))
    return {word: tuple(others) for word, others in found.items() if others}


@dataclass(frozen=True)
class Lexicon:
    """What transforms of words may use.

    Args:
        protected: words that are neither changed nor left out; numbers are protected with them. With none, numbers are
            not protected either.
        synonyms: of a word in lower case those that can stand for it.
        antonyms: of a word in lower case one that means the opposite.
        entities: names that can stand for one another.
    """

    protected: frozenset[str] = NEGATIONS
    synonyms: Mapping[str, Sequence[str]] = field(default_factory=small_thesaurus)
    antonyms: Mapping[str, str] = field(default_factory=dict)
    entities: frozenset[str] = frozenset()

    def guards(self, word: str) -> bool:
        """Whether a word is protected."""
        return bool(self.protected) and (word.lower() in self.protected or any(c.isdigit() for c in word))
