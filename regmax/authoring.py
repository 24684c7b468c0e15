"""What an author of an operator needs to declare its parameters: fields, rules and kinds.

A field declared with :func:`parameter` is a number or an array of numbers that keeps a :class:`Rule`; its *kind* says
against what an array broadcasts. One declared with :func:`structure` or :func:`choice` belongs to the operator as a
whole: it is the same for every row and has no derivative. :func:`edges_parameter` and :func:`weights_parameter` are
those of a graph. Tables of rules and kinds, and examples: docs/adding_an_operator.md.
"""

from ._graph import edges_parameter, weights_parameter
from ._parameters import (
    ABOVE_ONE,
    AT_LEAST_ONE,
    COUNT,
    EDGE_WEIGHT,
    FLAG,
    NON_INCREASING,
    NON_NEGATIVE,
    POSITIVE,
    SLOPE_WEIGHT,
    Parameter,
    Rule,
    choice,
    parameter,
    structure,
)

__all__ = [
    "ABOVE_ONE",
    "AT_LEAST_ONE",
    "COUNT",
    "EDGE_WEIGHT",
    "FLAG",
    "NON_INCREASING",
    "NON_NEGATIVE",
    "POSITIVE",
    "SLOPE_WEIGHT",
    "Parameter",
    "Rule",
    "choice",
    "edges_parameter",
    "parameter",
    "structure",
    "weights_parameter",
]
