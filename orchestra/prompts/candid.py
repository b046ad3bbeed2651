"""What a small model must not guess: who it is, sums, and figures nobody gave it."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from decimal import Decimal, DivisionByZero, InvalidOperation, Overflow

from orchestra.types.persona import Persona

_IDENTITY = re.compile(
    r"^\W*(?:(?:hi|hey|hello|so|and|well|ok|okay|please)\W+)*"
    r"(?:who (?:exactly )?are you(?: (?:exactly|really|then))?"
    r"|what (?:exactly )?are you(?: (?:exactly|really|then))?"
    r"|what(?:'s| is) your name|(?:please )?introduce yourself.{0,30}"
    r"|tell me (?:something |a bit )?about yourself"
    r"|are you (?:an? )?(?:ai|bot|robot|human|person|real|machine|real person|chatgpt"
    r"|language model)"
    r"|what can you (?:do|help (?:me )?with)(?: for me)?|what do you do)\W*$",
    re.IGNORECASE,
)
_MACHINE = re.compile(
    r"\b(?:ai|bot|robot|human|person|real|machine|chatgpt|language model)\b", re.I
)
_IDENTITY_EXAMPLE = re.compile(r"^\W*who are you\W*$", re.IGNORECASE)

_ASKING = re.compile(
    r"^(?:(?:what(?:'s| is)|how much is|calculate|compute|work out|please)\s+)+", re.IGNORECASE
)
_SUM = re.compile(r"[-(.\d][\d\s.,+\-*/x×÷^%()]*", re.IGNORECASE)
_HEXADECIMAL = re.compile(r"\b0x", re.IGNORECASE)
_OPERATION = re.compile(r"[\d)]\s*(?:[+*/x×÷^]|-(?!\d{4}$)|%\s*of)\s*[-\d(.]", re.IGNORECASE)
_PERCENT_OF = re.compile(r"([\d.]{1,20})\s?(?:%|percent)\s?of\s?([\d.]{1,20})", re.IGNORECASE)
_LONGEST_SUM = 100
"""Characters; nobody types a longer sum, and a longer text is not worth parsing."""

_OWN_FIGURES = re.compile(
    r"\b(?:what|how (?:much|many|high|big|large)|which|tell me|show me|give me)\b.{0,40}"
    r"\b(?:our|my|we)\b.{0,40}"
    r"\b(?:profits?|revenue|turnover|sales figures?|income|margins?|costs?|budget|headcount|"
    r"churn rate|conversion rate|market share|salary|salaries|balance|cash|debt|kpis?|numbers|"
    r"figures|growth rate|win rate|earn|earned|sold|sell last|spent|made|"
    r"number of (?:customers|clients|users|employees|staff))\b",
    re.IGNORECASE,
)
_OWN_COUNT = re.compile(
    r"^\W*how (?:much|many)\b.{0,30}\b(?:do|did|have|are|were) (?:we|i)\b.{0,20}\W*$", re.IGNORECASE
)
_ADVICE = re.compile(
    r"\b(?:should|could|can|would|how (?:do|to|can|should|could)|improve|reduce|increase|grow|"
    r"raise|"
    r"cut|better|best|ideas?|plan|help|write|why|ways?|mean|lower|get|win|find|target|reach)\b",
    re.IGNORECASE,
)

_Number = Callable[[Decimal, Decimal], Decimal]
_OPERATIONS: dict[type[ast.operator], _Number] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_LARGEST_EXPONENT = 100


def settled_reply(message: str, persona: Persona) -> str | None:
    """Return the reply where a rule knows better than a small model, else None."""
    if _IDENTITY.match(message):
        return _introduction(message, persona)
    total = _total(message)
    formal = persona.traits.formality >= 0.5  # noqa: PLR2004  # the middle of the scale
    if total is not None:
        return f"The result is {total}." if formal else f"That's {total}!"
    if _asks_for_own_figures(message):
        if formal:
            return (
                "I do not have your figures, and I will not guess them. If you give me the numbers "
                "here, I can work with them."
            )
        return (
            "I don't have your numbers, and I won't make any up! Paste them in here and "
            "we'll look at them together."
        )
    return None


def _asks_for_own_figures(message: str) -> bool:
    asked = _OWN_FIGURES.search(message) or _OWN_COUNT.match(message)
    return bool(asked) and not _ADVICE.search(message)


def _introduction(message: str, persona: Persona) -> str:
    own = [one.reply for one in persona.examples if _IDENTITY_EXAMPLE.match(one.message)]
    words = own[0] if own else f"I am {persona.name}, the {persona.role}."
    if not _MACHINE.search(message):
        return words
    return f"I am a program, not a person. {words}"


def _total(message: str) -> str | None:
    """The value of a plain sum, or None when the message is anything else."""
    if len(message) > _LONGEST_SUM:
        return None
    text = _ASKING.sub("", " ".join(message.split())).rstrip(" =?.!")
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    text = _PERCENT_OF.sub(r"(\1/100*\2)", text)
    if not _SUM.fullmatch(text) or not _OPERATION.search(text) or _HEXADECIMAL.search(text):
        return None
    for sign, symbol in (("x", "*"), ("X", "*"), ("×", "*"), ("÷", "/"), ("^", "**")):
        text = text.replace(sign, symbol)
    try:
        value = _evaluate(ast.parse(text.strip(), mode="eval").body)
        rounded = round(value, 6).normalize()
    except DivisionByZero:
        return "not a number: nothing can be divided by zero"
    except (SyntaxError, ValueError, InvalidOperation, Overflow, RecursionError):
        return None
    return f"{rounded:,f}"


def _evaluate(node: ast.expr) -> Decimal:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return Decimal(str(node.value))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_evaluate(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        left, right = _evaluate(node.left), _evaluate(node.right)
        if isinstance(node.op, ast.Pow) and abs(right) > _LARGEST_EXPONENT:
            too_large = "exponent"
            raise ValueError(too_large)
        return _OPERATIONS[type(node.op)](left, right)
    not_a_sum = "not a sum"
    raise ValueError(not_a_sum)
