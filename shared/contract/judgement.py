"""A verdict as risk makes it, and its two ways to travel: in full, or in short.

Of forty findings little changes from order to order. A *phrase* is a finding without that little. The phrases of a
verdict are its *shape*, which is kept once; in short it carries the shape's name and its own `values` alone, 0.6 KB
instead of 4.8. Whoever reads it back has the shape fill them in.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Self

import orjson
from pydantic import TypeAdapter

from shared.contract.base import Message, assembled
from shared.contract.risk import Outcome, Reservation, RuleResult, Verdict

_SET = object.__setattr__
_FIELDS = set(Verdict.model_fields)
_RULES = TypeAdapter(tuple[RuleResult, ...])
_BLANK = "\0"

Parts = tuple[str, str, str | None, str | None, str, Outcome]
"""Id, code, value, limit, scope and outcome of a finding; None where the order has words of its own."""


class Phrase:
    """A finding without what is the order's own. Made by `phrase`, so that the same one is the same object: to know
    forty of them again takes 0.1 µs.
    """

    __slots__ = ("parts",)

    def __init__(self, parts: Parts) -> None:
        self.parts = parts


@lru_cache(65_536)
def phrase(
    rule: str, code: str, value: str | None, limit: str | None, scope: str, outcome: Outcome = Outcome.PASS
) -> Phrase:
    """None: the order's own word, given with it."""
    return Phrase((rule, code, value, limit, scope, outcome))


@lru_cache(1_024)
def _findings(phrases: tuple[Phrase, ...]) -> bytes:
    """Findings as they travel, with a `%b` for each word of the order's own."""
    findings = [[_BLANK if part is None else part for part in one.parts] for one in phrases]
    words = orjson.dumps([dict(zip(RuleResult.model_fields, parts, strict=True)) for parts in findings])
    return words.replace(b"%", b"%%").replace(orjson.dumps(_BLANK), b"%b")


class Judgement(Verdict):
    """`rules` are made of `phrases` and the order's own `words` on first sight; `exits`: the order can only reduce.
    None of the three travels. In every other way a judgement is a verdict.
    """

    __slots__ = ("exits", "phrases", "words")

    if TYPE_CHECKING:
        phrases: tuple[Phrase, ...]
        words: tuple[str, ...]
        exits: bool

    @classmethod
    def of(
        cls, fields: dict[str, Any], phrases: tuple[Phrase, ...], words: tuple[str, ...], *, exits: bool = False
    ) -> Self:
        """A verdict of fields that need no looking at again."""
        made = assembled(cls, fields, _FIELDS)
        _SET(made, "phrases", phrases)
        _SET(made, "words", words)
        _SET(made, "exits", exits)
        return made

    def altered(self, **words: Any) -> Self:
        fields = dict(self.__dict__)
        fields.pop("rules", None)
        fields.update(words)
        return self.of(fields, self.phrases, self.words, exits=self.exits)

    def add(self, said: Phrase, word: str, update: Mapping[str, Any]) -> None:
        """One finding more, and what follows from it, before anybody has seen the verdict."""
        _SET(self, "phrases", (*self.phrases, said))
        _SET(self, "words", (*self.words, word))
        _SET(self, "__dict__", {**self.__dict__, **update})

    def in_short(self, shape: str) -> Verdict:
        """As it travels when its shape is kept under that name."""
        return assembled(Verdict, {**self.__dict__, "shape": shape, "values": self.words, "rules": ()}, _FIELDS)

    def encode(self) -> bytes:
        words = self._words()
        return words if "rules" in self.__dict__ else b'%b,"rules":%b}' % (words[:-1], self._told())

    def _told(self) -> bytes:
        return _findings(self.phrases) % tuple([orjson.dumps(word) for word in self.words])

    def shown(self) -> bytes:
        _ = self.rules
        return super().shown()

    def __getattr__(self, name: str) -> Any:
        if name != "rules":
            raise AttributeError(name)
        rules = _RULES.validate_json(self._told())
        vars(self)["rules"] = rules  # pyright: ignore[reportIndexIssue]
        return rules

    def model_dump(self, **words: Any) -> dict[str, Any]:
        _ = self.rules
        return super().model_dump(**words)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        _ = deep
        return self.altered(**(update or {}))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Verdict) and self.model_dump() == other.model_dump()

    __hash__ = None  # type: ignore[assignment]


class Shape(Message):
    """What the findings of many orders have in common; null where each order has a word of its own in `values`.

    `{account}`, `{symbol}` and `{strategy}` stand for the order's own, so that all accounts under the same limits share
    a shape.
    """

    findings: tuple[Parts, ...]

    @classmethod
    def of(cls, judgement: Judgement) -> Shape:
        """The shape of an approval."""
        blanks = {name: blank for blank, name in _names(judgement).items()}
        findings = [
            (rule, code, value and _put(value, blanks), limit, _put(scope, blanks), outcome)
            for rule, code, value, limit, scope, outcome in (one.parts for one in judgement.phrases)
        ]
        return cls(findings=tuple(findings))

    @property
    def name(self) -> str:
        """A digest: the same shape always has the same name, and another shape another."""
        return blake2b(self.encode(), digest_size=8).hexdigest()

    def fill(self, verdict: Verdict) -> Verdict:
        """The verdict with its findings in full."""
        blanks = sum(part is None for parts in self.findings for part in parts)
        if blanks != len(verdict.values):
            raise ValueError(f"shape {verdict.shape} has room for {blanks} values, and {len(verdict.values)} came")
        names, own = _names(verdict), iter(verdict.values)
        rules = [
            RuleResult(
                id=rule,
                code=code,
                value=next(own) if value is None else _put(value, names),
                limit=next(own) if limit is None else limit,
                scope=_put(scope, names),
                outcome=outcome,
            )
            for rule, code, value, limit, scope, outcome in self.findings
        ]
        return verdict.model_copy(update={"shape": "", "values": (), "rules": tuple(rules)})


def _names(verdict: Verdict) -> dict[str, str]:
    """The order's own names, by what stands for them."""
    held: Reservation | None = verdict.reservation
    assert held is not None, "what is in short is an approval, and comes with its reservation"
    names = {"{account}": held.account, "{symbol}": held.symbol, "{strategy}": held.strategy}
    return {blank: name for blank, name in names.items() if name is not None}


def _put(words: str, instead: Mapping[str, str]) -> str:
    """Words with some between their dots exchanged; no name has a dot."""
    return ".".join([instead.get(word, word) for word in words.split(".")])
