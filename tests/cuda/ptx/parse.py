"""From PTX text to functions: parameters, registers, memory of blocks and threads, instructions.

Functions that a kernel calls are put in its place, so that a kernel is one list of instructions.
"""

import re
from typing import NamedTuple

SIZES = {
    "pred": 1,
    **{f"{k}{n}": n // 8 for k in "bsuf" for n in (8, 16, 32, 64) if k + str(n) != "f8"},
}


class Instruction(NamedTuple):
    op: tuple[str, ...]  # mul.wide.u32 as ("mul", "wide", "u32")
    operands: tuple[str, ...]
    guard: str | None  # the predicate that must hold
    negated: bool  # or must not
    line: int


class Function:
    """A kernel, or a function that one calls."""

    def __init__(self, name):
        self.name = name
        self.params = []  # (name, size)
        self.registers = {}  # name -> size in bytes; a predicate has 1
        self.shared, self.local = {}, {}  # name -> place
        self.shared_size = self.local_size = 0
        self.code, self.labels = [], {}
        self.threads = None  # the largest block, if it says so

    def place_shared(self, name, size, align):
        """Give a symbol a place at a multiple of its alignment, but not of twice that."""
        at = -(-self.shared_size // align) * align
        if at % (2 * align) == 0:
            at += align
        self.shared[name] = at
        self.shared_size = at + size


_REG = re.compile(r"\.reg\s+\.(\w+)\s+(%[\w$]+)(?:<(\d+)>)?")
_VARIABLE = re.compile(r"\.(shared|local)\s+\.align\s+(\d+)\s+\.(\w+)\s+([\w$]+)(?:\[(\d+)\])?")
_PARAM = re.compile(r"\.param\s+\.(\w+)[^,()]*?\s([\w$]+)\s*(?:[,)]|$)", re.M)
_GUARD = re.compile(r"@(!?)(%\w+)\s+")
_HEAD = re.compile(r"\.(entry|func)\s*(\(([^)]*)\))?\s*([\w$]+)\s*(\(([^{;]*)\))?", re.S)


def parse(text):
    """The kernels of a module by name."""
    text = re.sub(r"//[^\n]*", "", text)
    found, entries = {}, []
    for match in _HEAD.finditer(text):
        kind, _, results, name, _, params = match.groups()
        open_at = text.find("{", match.end())
        if text[match.end() : open_at if open_at >= 0 else None].lstrip().startswith(";"):
            continue  # declared only
        function = Function(name)
        function.params = [(n, SIZES[k]) for k, n in _PARAM.findall(f"{params or ''},")]
        function.results = [n for _, n in _PARAM.findall(f"{results or ''},")]
        bounds = re.search(r"\.maxntid\s+(\d+)", text[match.end() : open_at])
        function.threads = int(bounds.group(1)) if bounds else None
        body, line = _body(text, open_at)
        _read(function, body, line)
        found[name] = function
        if kind == "entry":
            entries.append(name)
    return {name: _inlined(found[name], found) for name in entries}


def _body(text, start):
    """What stands between a brace and the one that closes it, and the number of its first line."""
    depth = 0
    for i in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return text[start + 1 : i], text.count("\n", 0, start) + 1
    raise ValueError("a brace is not closed")


def _read(function, body, line):
    for raw in re.split(r"([;\n])", body):
        if raw == "\n":
            line += 1
        statement = _waiting(function, raw, line)
        if statement:
            _statement(function, statement, line)


def _waiting(function, piece, line):
    """Statements end with a semicolon and may run over several lines."""
    held = getattr(function, "_held", "")
    if piece == ";":
        function._held = ""
        return held.strip()
    piece = piece.strip()
    while (match := re.match(r"([\w$]+):", piece)) and not held:
        function.labels[match.group(1)] = len(function.code)
        piece = piece[match.end() :].strip()
    braces = piece.strip("{} ") == "" and not held  # scopes of their own
    function._held = (
        ""
        if braces
        else f"{held} {piece}".strip().lstrip("{} ")
        if not held
        else (f"{held} {piece}")
    )
    return None


def _statement(function, text, line):
    if match := _REG.match(text):
        kind, name, count = match.groups()
        names = [f"{name}{i}" for i in range(int(count))] if count else [name]
        function.registers.update(dict.fromkeys(names, SIZES[kind]))
    elif match := _VARIABLE.match(text):
        space, align, kind, name, count = match.groups()
        size = SIZES[kind] * int(count or 1)
        if space == "shared":
            function.place_shared(name, size, int(align))
        else:
            function.local[name] = -(-function.local_size // int(align)) * int(align)
            function.local_size = function.local[name] + size
    elif not text.startswith("."):
        guard, negated = None, False
        if match := _GUARD.match(text):
            negated, guard = bool(match.group(1)), match.group(2)
            text = text[match.end() :]
        op, _, rest = text.partition(" ")
        op, _, more = op.partition("\t")
        operands = _split(f"{more} {rest}".strip())
        function.code.append(Instruction(tuple(op.split(".")), operands, guard, negated, line))


def _split(text):
    """Operands at the commas outside of braces, brackets and parentheses."""
    parts, depth, word = [], 0, ""
    for c in text:
        depth += (c in "{[(") - (c in "}])")
        if c == "," and depth == 0:
            parts.append(word.strip())
            word = ""
        else:
            word += c
    return tuple(p for p in [*parts, word.strip()] if p)


def _inlined(function, known):
    """The function with those it calls in their places."""
    if not any(i.op[0] == "call" for i in function.code):
        return function
    code, labels, moved = [], {}, {}
    for at, i in enumerate(function.code):
        moved[at] = len(code)
        if i.op[0] != "call":
            code.append(i)
            continue
        results, name, given = _call(i.operands)
        callee = _inlined(known[name], known)
        mark = f"${len(code)}$"
        names = dict(zip([n for n, _ in callee.params], given, strict=True))
        names |= dict(zip(callee.results, results, strict=True))
        start = len(code)
        for inner in callee.code:
            code.append(_renamed(inner, callee, mark, names))
        end = len(code)
        labels |= {mark + label: start + place for label, place in callee.labels.items()}
        labels[f"{mark}end"] = end
        function.registers |= {_marked(r, mark): n for r, n in callee.registers.items()}
    moved[len(function.code)] = len(code)
    labels |= {label: moved[place] for label, place in function.labels.items()}
    function.code, function.labels = code, labels
    return function


def _call(operands):
    """(names of results, function, names of arguments) of a call."""
    groups = [re.findall(r"[\w$]+", o) for o in operands if o.startswith("(")]
    name = next(o for o in operands if not o.startswith("("))
    return groups[0] if operands[0].startswith("(") else [], name, groups[-1]


def _marked(register, mark):
    return f"%{mark}{register[1:]}"


def _renamed(i, callee, mark, names):
    def operand(text):
        text = re.sub(
            r"%[\w$]+",
            lambda m: _marked(m.group(), mark) if m.group() in callee.registers else m.group(),
            text,
        )
        for old, new in names.items():
            text = re.sub(rf"\b{re.escape(old)}\b", new, text)
        return mark + text if text in callee.labels else text

    guard = i.guard and _marked(i.guard, mark)
    if i.op[0] == "ret":
        return Instruction(("bra",), (f"{mark}end",), guard, i.negated, i.line)
    return Instruction(i.op, tuple(map(operand, i.operands)), guard, i.negated, i.line)
