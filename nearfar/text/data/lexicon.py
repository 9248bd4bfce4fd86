"""Words that every topic of the generated grammar shares: concepts with the phrases that express them.

In every string `|` separates the synonyms of one concept. A verb is written base/past or
base/past/participle.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["AGENTS", "MANNERS", "PLACES", "QUALITIES", "TIMES", "Topic", "Verb", "verb_forms"]


class Verb(NamedTuple):
    """The three forms a sentence may need."""

    base: str
    past: str
    participle: str


class Topic(NamedTuple):
    """The concepts of a topic, and which agents and places (named by their first words) are typical of it."""

    actions: tuple[str, ...]
    objects: tuple[str, ...]
    agents: tuple[str, ...]
    places: tuple[str, ...]


def verb_forms(concept: str) -> list[Verb]:
    """Split "write/wrote/written|draft/drafted" into its verbs; without a participle, the past serves."""
    verbs = []
    for word in concept.split("|"):
        forms = word.split("/")
        verbs.append(Verb(forms[0], forms[1], forms[-1]))
    return verbs


AGENTS = (
    "the doctor|the physician|the medic",
    "the teacher|the instructor|the tutor",
    "the child|the kid|the youngster",
    "the old man|the elderly gentleman|the pensioner",
    "the woman|the lady",
    "the neighbour|the man next door",
    "the student|the pupil",
    "the policeman|the officer|the cop",
    "the boss|the manager|the chief",
    "the visitor|the guest|the caller",
    "the lawyer|the attorney|the solicitor",
    "the farmer|the grower|the peasant",
)

QUALITIES = (
    "small|little|tiny",
    "large|big|huge",
    "old|ancient|aged",
    "new|recent|fresh",
    "expensive|costly|dear",
    "cheap|inexpensive|affordable",
    "beautiful|lovely|attractive",
    "strange|odd|peculiar",
    "famous|renowned|celebrated",
    "ordinary|plain|usual",
)

MANNERS = (
    "carefully|with care|cautiously",
    "quickly|in a hurry|rapidly",
    "happily|with joy|cheerfully",
    "quietly|in silence|without a sound",
    "slowly|at a leisurely pace|without haste",
    "angrily|in a rage|furiously",
    "alone|without help|unaided",
    "reluctantly|under protest|unwillingly",
)

PLACES = (
    "at home|in the house",
    "in the garden|in the yard|behind the house",
    "at the office|at work",
    "in the city|downtown|in the town centre",
    "near the river|by the water|on the bank",
    "at school|in the classroom",
    "in the village|in the countryside",
    "at the market|at the bazaar|among the stalls",
    "at the station|on the platform",
    "in the park|on the green",
    "abroad|in a foreign country|overseas",
    "in the street|on the road|outside",
)

TIMES = (
    "yesterday|the day before",
    "this morning|early today|at dawn",
    "last night|late in the evening|after dark",
    "at noon|at midday|at twelve o'clock",
    "last week|seven days ago|the week before",
    "on sunday|at the weekend",
    "two years ago|a couple of years back|long ago",
    "in winter|during the cold season",
    "in summer|during the hot months",
    "before breakfast|ahead of the morning meal",
)
