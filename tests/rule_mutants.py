"""Mutants of the rules: every condition negated, every constant changed, one at a time, and the cases that catch them.

`python tests/rule_mutants.py [MODULE…]` makes those of some modules of `rules/aks_audit_rules` (of all, in some
minutes), asks the cases of every rule that reaches the changed line, and writes into `docs/mutants.md` which mutants no
case catches. A mutant is caught where a case goes red or the rule crashes. Texts are no constants here:
docstrings, messages, what stands in the decorator of a rule (`docs/reference` holds it, and a test compares them), and
strings with a space.
"""

import ast
import importlib
import os
import pkgutil
import re
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from enum import Enum
from pathlib import Path
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import aks_audit_rules
from aks_audit import snapshot
from aks_audit.engine import audit, load_rules
from aks_audit.facts import Estate
from aks_audit.rule import Rule
from cases import BASE, INSIDE, Case, case_files, read_cases, records_of

if TYPE_CHECKING:
    from _typeshed import TraceFunction

PACKAGE = aks_audit_rules.__name__
_NO_DECISIONS = {"frameworks"}  # ids of controls alone
_LONGEST = 20  # seconds until a mutant that does not end counts as caught
_TELL = {"passes", "fails", "not_applicable", "undecided", "Malformed"}
_WORDS = {"is", "are", "has", "have", "it", "its", "they", "their", "s"}

PAGE = Path(__file__).parent.parent / "docs" / "mutants.md"
_HEAD = """\
# Mutants of the rules

Written by `python tests/rule_mutants.py`. For each rule every condition is negated and every constant changed (numbers,
names, members of enumerations, severities; not the words of messages), one at a time, and the cases of
`fixtures/rules` are asked again. A mutant is caught where a case goes red.

"""

Lines: TypeAlias = set[tuple[str, int]]


class Mutant(NamedTuple):
    """A change of one place of a module: in which function, on which lines, and what it does, in words."""

    module: str
    function: str
    lines: tuple[int, int]
    change: str
    number: int

    def __str__(self) -> str:
        return f"{self.module}.{self.function}: {self.change}"


class Asked(NamedTuple):
    """A case of a rule with its estate read, and the lines of the rules that it runs through."""

    rule: str
    case: Case
    recorded: snapshot.Snapshot
    lines: Lines


class _Places(ast.NodeTransformer):
    """Walks the places of a module that can be changed, and changes the one with the number asked for."""

    def __init__(self, module: ModuleType, wanted: int = -1) -> None:
        self.found: list[Mutant] = []
        self._module = module
        self._wanted = wanted
        self._within: list[str] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self._within.append(node.name)
        node.body = [self.visit(statement) for statement in node.body]
        node.args.defaults = [self.visit(default) for default in node.args.defaults]
        self._within.pop()
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self._within.append(node.name)
        node.body = [self.visit(statement) for statement in node.body]
        self._within.pop()
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        return node if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        called = node.func.id if isinstance(node.func, ast.Name) else ""
        if called in {"TypeVar", "NewType", "cast", "NamedTuple"}:
            return node
        node.args = [arg if called in _TELL and isinstance(arg, ast.Constant) else self.visit(arg) for arg in node.args]
        node.keywords = [self.visit(keyword) for keyword in node.keywords]
        node.func = self.visit(node.func)
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        node.test = self._condition(node.test)
        node.body = [self.visit(statement) for statement in node.body]
        node.orelse = [self.visit(statement) for statement in node.orelse]
        return node

    def visit_While(self, node: ast.While) -> ast.AST:
        node.test = self._condition(node.test)
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        node.test = self._condition(node.test)
        node.body = self.visit(node.body)
        node.orelse = self.visit(node.orelse)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        node.iter = self.visit(node.iter)
        node.ifs = [self._condition(test) for test in node.ifs]
        return node

    def visit_match_case(self, node: ast.match_case) -> ast.AST:
        node.pattern = self.visit(node.pattern)
        if node.guard is not None:
            node.guard = self._condition(node.guard)
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        *decisive, last = node.values  # where no condition is asked for, the last is a value
        node.values = [*(self._condition(value) for value in decisive), self.visit(last)]
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        return self._condition(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        match node.value:
            case bool(value):
                return self._changed(node, not value)
            case int() | float():
                return self._changed(node, node.value + 1)
            case str(value) if value and " " not in value and value not in _WORDS:
                return self._changed(node, f"x{value}")
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        enumeration = getattr(self._module, node.value.id, None) if isinstance(node.value, ast.Name) else None
        if isinstance(enumeration, type) and issubclass(enumeration, Enum) and node.attr in enumeration.__members__:
            members = list(enumeration.__members__)
            other = members[(members.index(node.attr) + 1) % len(members)]
            if other != node.attr and self._is_wanted(node, f"{ast.unparse(node)} -> {other}"):
                return ast.copy_location(ast.Attribute(node.value, other, node.ctx), node)
            return node
        return self.generic_visit(node)

    def _condition(self, test: ast.expr) -> ast.expr:
        if isinstance(test, ast.BoolOp):
            test.values = [self._condition(value) for value in test.values]
            return test
        wanted = self._is_wanted(test, f"not ({ast.unparse(test)})")
        inner: ast.expr = self.generic_visit(test) if isinstance(test, ast.Compare) else self.visit(test)  # type: ignore[assignment] # an expression stays one
        return ast.copy_location(ast.UnaryOp(ast.Not(), inner), test) if wanted else inner

    def _changed(self, node: ast.Constant, value: str | float) -> ast.AST:
        if self._is_wanted(node, f"{node.value!r} -> {value!r}"):
            return ast.copy_location(ast.Constant(value), node)
        return node

    def _is_wanted(self, node: ast.expr, change: str) -> bool:
        lines = node.lineno, node.end_lineno or node.lineno
        function = ".".join(self._within) or "module"
        mutant = Mutant(self._module.__name__.rpartition(".")[2], function, lines, change, len(self.found))
        self.found.append(mutant)
        return mutant.number == self._wanted


def modules() -> tuple[str, ...]:
    """The modules of the built-in rules, but those that decide nothing."""
    names = {info.name for info in pkgutil.iter_modules(aks_audit_rules.__path__) if not info.ispkg}
    return tuple(sorted(names - _NO_DECISIONS))


def mutants(name: str) -> tuple[Mutant, ...]:
    """The mutants of a module."""
    places = _Places(_module(name))
    places.visit(_tree(name))
    return tuple(places.found)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{PACKAGE}.{name}")


def _tree(name: str) -> ast.Module:
    return ast.parse(Path(_module(name).__file__ or "").read_text(encoding="utf-8"))


def _users(name: str) -> set[str]:
    """The modules that use a module, itself among them."""
    imports = {
        other: {
            (node.module or "").rpartition(".")[2]
            for node in ast.walk(_tree(other))
            if isinstance(node, ast.ImportFrom)
        }
        for other in modules()
    }
    users = {name}
    while more := {other for other, used in imports.items() if used & users} - users:
        users |= more
    return users


def asked(name: str) -> tuple[Asked, ...]:
    """The cases of all rules that a module's code decides, each asked once as it is."""
    users = {f"{PACKAGE}.{user}" for user in _users(name)}
    rules = {rule.id: rule for rule in load_rules() if rule.judge.__module__ in users}
    return tuple(
        _traced(rules[path.parent.name], case)
        for path in case_files()
        if path.parent.name in rules
        for case in read_cases(path)
    )


def _traced(rule: Rule, case: Case) -> Asked:
    lines: Lines = set()
    folder = str(Path(aks_audit_rules.__file__).parent)

    def trace(frame: FrameType, _event: str, _argument: object) -> "TraceFunction | None":
        if not frame.f_code.co_filename.startswith(folder):
            return None
        lines.add((frame.f_code.co_filename, frame.f_lineno))
        return trace

    recorded = snapshot.of(records_of(case, BASE, INSIDE))
    sys.settrace(trace)
    try:
        red = _is_red(rule, case, recorded)
    finally:
        sys.settrace(None)
    if red:
        raise SystemExit(f"{rule.id}: {case.name} is red before anything is changed")
    return Asked(rule.id, case, recorded, lines)


def _reaching(mutant: Mutant, cases: Sequence[Asked]) -> Sequence[Asked]:
    """The cases that run through a mutant's lines; all where it is a constant of the module."""
    if mutant.function.lstrip("_")[0].isupper() or mutant.function == "module":
        return cases
    file, (first, last) = _module(mutant.module).__file__ or "", mutant.lines
    return [one for one in cases if any((file, line) in one.lines for line in range(first, last + 1))]


def _is_red(rule: Rule, case: Case, recorded: snapshot.Snapshot) -> bool:
    found = [f for f in audit(Estate(recorded), [rule]) if f.resource.lower().endswith(case.subject.lower())]
    return (
        len(found) != 1
        or found[0].outcome.value != case.expect
        or case.says.lower() not in found[0].message.lower()
        or case.severity not in {"", found[0].severity.value}
    )


def caught(mutant: Mutant, cases: Sequence[Asked]) -> bool:
    """Whether a case goes red. The mutant lives in a process of its own, which ends with it."""
    reaching = _reaching(mutant, cases)
    child = os.fork()
    if child == 0:
        signal.alarm(_LONGEST)
        try:
            rules = _applied(mutant)
            os._exit(any(_is_red(rules[one.rule], one.case, one.recorded) for one in reaching))
        except BaseException:  # noqa: BLE001 - a mutant that crashes is caught
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return status != 0


def _applied(mutant: Mutant) -> dict[str, Rule]:
    """The rules with the mutant in the place of its module, everywhere where that is used."""
    module = _module(mutant.module)
    before = dict(module.__dict__)
    tree = ast.fix_missing_locations(_Places(module, mutant.number).visit(_tree(mutant.module)))
    exec(compile(tree, module.__file__ or "", "exec"), module.__dict__)  # noqa: S102 - our own rules, changed
    for other in modules():
        names = _module(other).__dict__
        for name, old in before.items():
            if other != mutant.module and name in names and names[name] is old:
                names[name] = module.__dict__[name]
    changed = {rule.id: rule for rule in getattr(module, "RULES", ())}
    return {rule.id: changed.get(rule.id, rule) for rule in load_rules()}


class Told(NamedTuple):
    """What `docs/mutants.md` tells of a module: how many mutants it has, and which survive, in words."""

    made: int
    alive: tuple[str, ...]


def told() -> dict[str, Told]:
    """What the page tells, by module."""
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| (\w+) \| ([\d,]+) \| [\d,]+ \|$", page)
    alive = re.findall(r"(?m)^- `(.*)`$", page)
    return {name: Told(int(made), tuple(one for one in alive if one.startswith(f"{name}."))) for name, made in rows}


def _told(name: str) -> tuple[str, Told]:
    made, cases = mutants(name), asked(name)
    return name, Told(len(made), tuple(str(mutant) for mutant in made if not caught(mutant, cases)))


def main(names: Sequence[str]) -> None:
    """Make the mutants of these modules, or of all, tell of them, and write it into the page."""
    known = told() if names else {}
    with ProcessPoolExecutor(2) as pool:
        for name, one in pool.map(_told, names or modules()):
            known[name] = one
            sys.stdout.write(f"{name}: {one.made - len(one.alive)} of {one.made}\n")
            sys.stdout.writelines(f"  {mutant}\n" for mutant in one.alive)
            sys.stdout.flush()
    PAGE.write_text(_page([(name, known[name]) for name in modules() if name in known]), encoding="utf-8")


def _page(rows: Sequence[tuple[str, Told]]) -> str:
    made = sum(one.made for _, one in rows)
    caught = made - sum(len(one.alive) for _, one in rows)
    lines = [f"{caught:,} of {made:,} mutants are caught, {caught / made:.1%}.", ""]
    lines += ["| module | mutants | caught |", "|---|---|---|"]
    lines += [f"| {name} | {one.made} | {one.made - len(one.alive)} |" for name, one in rows]
    lines += ["", "## Survivors", "", "What no case tells from the rule as it is, by module and function:", ""]
    lines += [f"- `{mutant}`" for _, one in rows for mutant in one.alive]
    return _HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
