"""The margin heads: one record each, with all that the search space and `heads.build` say of it.

A head is a class and its record here; the first is the search space's default. Plain numbers for
the search space too: must load no heavy library.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

LARGEST_MARGIN = 1.57
"""Just below pi / 2, in any unit; from there on an added angle would turn every cosine around."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadNumber:
    """A number that one head alone has, searched where margins are.

    Attributes:
        argument: What its class calls it.
        hyperparameter: What the search space calls it.
        default: Where the configuration does not say.
        searched: Lower and upper bound, both included.
        smallest: The smallest with which the head works.
        refusal: The sentence about a smaller one, of `{head}` and `{value}`.
        is_log: Searched uniformly in the logarithm.
        is_integer: Whole numbers only.
        counts_class_weights: Whether each class has so many weights; else it has one.
    """

    argument: str
    hyperparameter: str
    default: float
    searched: tuple[float, float]
    smallest: float
    refusal: str
    is_log: bool = False
    is_integer: bool = False
    counts_class_weights: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadSpec:
    """A margin head.

    Attributes:
        name: Of the choice and of the class.
        module: Where the class is; it takes the class weights, then by keyword `scale`, `margin`
            and what `numbers` names.
        margin: The published one, in the head's own unit.
        searched_margins: Lower and upper bound, both included.
        scale: The published one of the logits; None follows the number of classes.
        smooths_labels: Whether its loss has a distribution over the classes to smooth.
        is_published: Whether the `paper` preset has it.
        numbers: What it has beside margin and scale.
    """

    name: str
    module: str
    margin: float
    searched_margins: tuple[float, float]
    scale: float | None = None
    smooths_labels: bool = True
    is_published: bool = False
    numbers: tuple[HeadNumber, ...] = ()

    def values_of(self, numbers: Iterable[tuple[str, float]]) -> dict[str, float]:
        """Argument -> value of the head's own numbers, its default where none is given.

        Args:
            numbers: Pairs of an argument and its value.

        Raises:
            ValueError: A number is not the head's, too small or not finite.
        """
        values = {number.argument: number.default for number in self.numbers} | dict(numbers)
        known = {number.argument: number for number in self.numbers}
        for argument, value in values.items():
            if argument not in known:
                own = ", ".join(known) or "none"
                raise ValueError(f"{self.name} has no number {argument!r}; its own are: {own}")
            if not known[argument].smallest <= value < math.inf:
                raise ValueError(known[argument].refusal.format(head=self.name, value=value))
        return values

    def weights_per_class(self, numbers: Iterable[tuple[str, float]]) -> int:
        """How many class weights each class has.

        Raises:
            ValueError: As in `values_of`.
        """
        values = self.values_of(numbers)
        counting = (number for number in self.numbers if number.counts_class_weights)
        return math.prod(int(values[number.argument]) for number in counting)


_SOFTMAX = "search_space.heads.softmax"

_SPECS = (
    HeadSpec(
        name="CosFace",
        module=_SOFTMAX,
        margin=0.35,  # taken off the cosine
        searched_margins=(0.05, 0.6),
        is_published=True,
    ),
    HeadSpec(
        name="ArcFace",
        module=_SOFTMAX,
        margin=0.5,  # radians
        searched_margins=(0.05, 0.8),
        is_published=True,
    ),
    HeadSpec(
        name="MagFace",
        module=_SOFTMAX,
        margin=0.45,  # radians, at the smallest embedding length
        searched_margins=(0.05, 0.6),
        is_published=True,
        numbers=(
            # The reward for long embeddings, in units of the smallest weight at which it works.
            HeadNumber(
                argument="regulariser_factor",
                hyperparameter="magface.regulariser",
                default=1.5,
                searched=(1.0, 3.0),
                is_log=True,
                smallest=1.0,
                refusal="the regulariser factor of {head} is {value}; give a finite number of 1 "
                "or more, for below 1 it does not work",
            ),
        ),
    ),
    HeadSpec(
        name="SphereFace2",
        module="search_space.heads.sphereface2",
        # Taken off the sharpened similarity, which lies between -1 and 1, and added to those of
        # the other classes.
        margin=0.4,
        searched_margins=(0.05, 0.6),
        # `default_scale` is about a softmax, in which the other classes' logits add up, and this
        # head asks about each class alone: their number enters by its bias.
        scale=40.0,
        # A binary loss per class has no distribution over classes to smooth.
        smooths_labels=False,
    ),
    HeadSpec(
        name="AdaFace",
        module=_SOFTMAX,
        margin=0.4,  # radians and cosine at once
        searched_margins=(0.05, 0.6),
    ),
    HeadSpec(
        name="CurricularFace",
        module=_SOFTMAX,
        margin=0.5,  # radians
        searched_margins=(0.05, 0.8),
    ),
    HeadSpec(
        name="ElasticFace",
        module=_SOFTMAX,
        margin=0.5,  # radians, the mean
        searched_margins=(0.05, 0.8),
    ),
    HeadSpec(
        name="SubCenterArcFace",
        module=_SOFTMAX,
        margin=0.5,  # radians
        searched_margins=(0.05, 0.8),
        numbers=(
            HeadNumber(
                argument="sub_centers",
                hyperparameter="sub_centers",
                default=3,
                searched=(2, 5),
                is_integer=True,
                smallest=1,
                refusal="{head} with {value} weights per class cannot tell classes apart; give 1 "
                "or more",
                counts_class_weights=True,
            ),
        ),
    ),
)

HEAD_SPECS: Mapping[str, HeadSpec] = MappingProxyType({spec.name: spec for spec in _SPECS})
"""Head -> its record, in the order in which the search space has them."""

HEADS = tuple(HEAD_SPECS)
PUBLISHED_HEADS = tuple(spec.name for spec in _SPECS if spec.is_published)
