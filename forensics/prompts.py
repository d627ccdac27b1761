"""Probe prompts: short texts put to a model, and the places in them where its hidden states are read.

Places are fixed by the text alone, never by a tokenizer, so that hidden states of models with different
tokenizers can be laid side by side.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass

from forensics.errors import ForensicsError

TEXT_LIMIT = 1_000_000
"""Characters of a whole set."""
COUNT_LIMIT = 256
"""Prompts of a set."""
PROMPT_LIMIT = 4_000
"""Characters of one prompt."""
SKIPPED_WORDS = 2
"""The first words of a prompt are not read: models park attention there, whatever the words are."""

DEFAULT_PROMPTS: tuple[str, ...] = (
    (
        "The ferry left the island an hour late because the captain had refused to sail until the fog lifted from "
        "the harbour and the last crates of lemons were tied down under the canvas."
    ),
    (
        "My grandmother kept bees behind the shed, and every September she would carry the heavy frames into the "
        "kitchen, cut the wax with a hot knife and let the honey run slowly into a tin bucket."
    ),
    (
        "A glacier moves even where it seems to stand still: the ice at its base melts under pressure, slides over "
        "the rock and freezes again, carrying stones that scratch long lines into the valley floor."
    ),
    (
        "The committee agreed that the old bridge should be closed to lorries at once, that the council would pay "
        "for an inspection before winter, and that nobody would speak to the newspapers until the engineer replied."
    ),
    (
        "When the violin maker died, his apprentice found forty unfinished instruments in the attic, each with a "
        "small paper label that named the tree, the year it was felled and the customer who never came back."
    ),
    (
        "Yeast turns sugar into alcohol only while there is little oxygen; give the same cells plenty of air and "
        "they grow faster, make far less alcohol and leave the brewer with a thin and disappointing beer."
    ),
    (
        "To repair a puncture, turn the bicycle over, loosen the wheel, lift one side of the tyre off the rim with "
        "two levers, pull out the tube, find the hole under water and roughen the rubber before gluing the patch."
    ),
    (
        "Nobody in the courtroom moved while the interpreter repeated the question, because the witness had begun "
        "to answer before she finished and now sat with both hands flat on the table, looking at the clock."
    ),
    (
        '"Did you lock the garden gate?" asked Nora. "I thought you had the key," said her brother, "and anyway '
        'the dog is asleep." She sighed, took the torch from the hook and went out into the rain without a coat.'
    ),
    (
        "def running_mean(values, window):\n    total = 0.0\n    means = []\n    for index, value in "
        "enumerate(values):\n        total += value\n        if index >= window:\n            total -= values[index - "
        "window]\n        means.append(total / min(index + 1, window))\n    return means\n"
    ),
    (
        "for (int row = 0; row < height; row++) {\n    for (int column = 0; column < width; column++) {\n        "
        "pixels[row * width + column] = blend(front, back, row, column);\n    }\n}\nreturn pixels; // caller frees it\n"
    ),
    (
        "SELECT author, COUNT(*) AS books FROM loans JOIN titles ON titles.id = loans.title WHERE loans.year > 2009 "
        "GROUP BY author HAVING COUNT(*) >= 3 ORDER BY books DESC LIMIT 20;"
    ),
    (
        "class Queue:\n    def __init__(self, limit):\n        self.items = []\n        self.limit = limit\n\n    def "
        "push(self, item):\n        if len(self.items) == self.limit:\n            raise ValueError('queue is "
        "full')\n        self.items.append(item)\n"
    ),
    (
        "<section id='opening-hours'>\n  <h2>Opening hours</h2>\n  <p class='note'>Closed on Mondays and in "
        "August.</p>\n  <ul>\n    <li>Tuesday to Friday: nine to five</li>\n    <li>Saturday: ten to one</li>\n  "
        "</ul>\n</section>\n"
    ),
    (
        "Shopping for the week: two loaves of rye bread, a dozen eggs, butter, spinach, red onions, a small bag of "
        "rice, olive oil, black pepper, washing powder, candles, and stamps for the letter to Lisbon."
    ),
    (
        "Steps before leaving:\n1. close every window\n2. empty the fridge\n3. turn off the water\n4. give the "
        "spare key to the neighbour\n5. write the train number on the card\n6. check the oven once more\n"
    ),
    (
        "Planets in order of distance from the Sun are Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus and "
        "Neptune; of these Jupiter is the largest, Mercury the smallest, and Venus the hottest at its surface."
    ),
    (
        "Between 1990 and 2005 the village shrank from 1,240 people to 867, while the number of houses rose from "
        "402 to 431, so that the average household fell from 3.1 persons to almost exactly 2.0."
    ),
    "12 + 7 = 19, 19 + 8 = 27, 27 + 9 = 36, 36 + 10 = 46, 46 + 11 = 57, 57 + 12 = 69, 69 + 13 = 82, 82 + 14 = 96",
    (
        "Invoice 4471: 3 boxes at 18.50 each make 55.50, delivery adds 6.20, tax at 20 percent comes to 12.34, and "
        "the total due by 30 November is 74.04, payable in one sum."
    ),
    (
        "El panadero abrió la tienda antes del amanecer, encendió el horno de leña y puso sobre la mesa las cestas "
        "vacías, porque sabía que los primeros clientes llegarían con el autobús de las seis y media."
    ),
    (
        "Aunque la carretera estaba cubierta de nieve, los vecinos del valle decidieron subir a pie hasta la ermita "
        "para celebrar la fiesta, llevando mantas, pan, queso y una guitarra vieja."
    ),
    (
        "Осенью река поднялась так высоко, что старый мост закрыли, и дети из соседней деревни ездили в школу на "
        "лодке, которую каждое утро приводил молчаливый рыбак."
    ),
    (
        "Маленький музей хранит карты, часы и письма моряка, который три года искал пролив, потом вернулся "
        "домой и никогда больше не выходил в море."
    ),
)
"""Written for this purpose: prose, speech, code, lists, numbers, Spanish and Russian."""

NONSENSE_TEXTS, NONSENSE_WORDS = 24, 35


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a hidden state is read: the last character of a word."""

    prompt: int
    """Index of the prompt."""
    offset: int
    """Character offset of the word's last character."""
    order: int
    """Index of the word within its prompt."""
    word: str
    """The word itself, as written."""


def prompts_from(text: str) -> tuple[str, ...]:
    """The prompts in `text`: a JSON list of strings, or one prompt per line; the default set where it is blank.

    Raises ForensicsError for a set that is too large, holds something other than text, or is repeated.
    """
    if not text.strip():
        return DEFAULT_PROMPTS
    if len(text) > TEXT_LIMIT:
        raise ForensicsError(f"the prompts hold {len(text)} characters", f"use at most {TEXT_LIMIT}")
    found = _listed(text) if text.lstrip().startswith("[") else _lines(text)
    prompts = tuple(prompt for prompt in found if prompt.strip())
    if not prompts:
        raise ForensicsError(
            "there is no prompt in the prompts", "write one per line, or a JSON list of strings"
        )
    if len(prompts) > COUNT_LIMIT:
        raise ForensicsError(f"there are {len(prompts)} prompts", f"use at most {COUNT_LIMIT}")
    if len(set(prompts)) < len(prompts):
        raise ForensicsError("a prompt stands twice", "repeated prompts add nothing; remove one of them")
    for number, prompt in enumerate(prompts, 1):
        _check(number, prompt)
    return prompts


def nonsense(seed: int) -> tuple[str, ...]:
    """Texts of random words of 2 to 5 letters: no model knows more about them than another.

    Drawn from SHA-256 of seed and position, so that they are the same under every version of every library.
    """
    texts = []
    for text in range(NONSENSE_TEXTS):
        words = []
        for word in range(NONSENSE_WORDS):
            drawn = hashlib.sha256(f"{seed}/{text}/{word}".encode()).digest()
            words.append("".join(chr(97 + byte % 26) for byte in drawn[1 : 3 + drawn[0] % 4]))
        texts.append(" ".join(words))
    return tuple(texts)


def digest(prompts: tuple[str, ...]) -> str:
    """SHA-256 of the prompts as a canonical JSON list, in hex."""
    return hashlib.sha256(json.dumps(prompts).encode("ascii")).hexdigest()


def places(prompts: tuple[str, ...], count: int) -> tuple[Place, ...]:
    """About `count` word ends, spread evenly over the prompts and within each, in reading order.

    Never more than `count`; a short prompt gives what it has.
    """
    chosen: list[Place] = []
    for index, prompt in enumerate(prompts):
        words = [
            Place(prompt=index, offset=match.end() - 1, order=order, word=match.group())
            for order, match in enumerate(re.finditer(r"\S+", prompt))
        ][SKIPPED_WORDS:]
        share = min(len(words), (count - len(chosen)) // (len(prompts) - index))
        chosen += [words[(2 * i + 1) * len(words) // (2 * share)] for i in range(share)]
    return tuple(chosen)


def _listed(text: str) -> list[str]:
    """A JSON list of strings."""
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError):
        raise ForensicsError(
            "the prompts begin like a JSON list but are not one",
            "write a JSON list of strings, or one prompt per line with the first not starting with [",
        ) from None
    if not isinstance(listed, list) or not all(isinstance(prompt, str) for prompt in listed):
        raise ForensicsError(
            "the list of prompts holds something other than text", "write a JSON list of strings"
        )
    return listed


def _lines(text: str) -> list[str]:
    """One prompt per line, blank lines left out."""
    return [line.strip() for line in text.splitlines()]


def _check(number: int, prompt: str) -> None:
    """Refuses a prompt that is overlong or is no text that can be encoded."""
    if len(prompt) > PROMPT_LIMIT:
        raise ForensicsError(f"prompt {number} has {len(prompt)} characters", f"use at most {PROMPT_LIMIT}")
    try:
        prompt.encode("utf-8")
    except UnicodeEncodeError:
        raise ForensicsError(
            f"prompt {number} holds half a surrogate pair", "save the file as UTF-8"
        ) from None
