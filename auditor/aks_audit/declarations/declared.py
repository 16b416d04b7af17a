"""The resources that files declare: what each is, how it is called, and the values that are written for it."""

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from aks_audit.declarations.azurerm import WRITTEN, Written
from aks_audit.declarations.names import Given, Scope, evaluate, plural
from aks_audit.declarations.text import Entry, Language, Node

_MOST_USES = 50
"""How many ways of using one file are told apart."""

_FARTHEST = 30
"""How many files may use one another in a row."""


class Declaration(NamedTuple):
    """A resource that a file declares.

    `type` is that of Azure, in lower case; `name` comes, within the file's scope, to the last part of its name or all
    of them by `/`; `parents` to those before it. `written` is how Terraform calls what Azure calls by `type`. Where it
    is `flat`, as the parameters of a verified module are, properties stand without what is around them in Azure.
    """

    file: str
    type: str
    node: Node
    name: Node | None
    parents: tuple[Node | None, ...] = ()
    group: Node | None = None
    written: Written | None = None
    flat: bool = False


class Use(NamedTuple):
    """That a file uses another one, a folder for Terraform, and what it hands in."""

    of: str
    arguments: Mapping[str, Node]


class Unit(NamedTuple):
    """What is read as one: a file, or for Terraform a folder of them."""

    key: str
    definitions: dict[str, Node]
    declared: list[Declaration]
    uses: list[Use]


Fill = Callable[[Unit, str, Node], None]
"""Puts what a file at a path says into its unit."""


def unit_of(path: str, language: Language) -> str:
    """The key of the unit that a file belongs to."""
    return posixpath.dirname(path) or "." if language is Language.TERRAFORM else path


def _words(entry: Entry) -> tuple[str, ...]:
    return tuple(token.text for token in entry.head)


def fill_from_bicep(unit: Unit, path: str, root: Node) -> None:
    """Take in a Bicep file."""
    for entry in root.entries:
        match _words(entry):
            case ("param" | "var", name, *_):
                if entry.value.tokens or entry.value.entries or entry.value.items:
                    unit.definitions.setdefault(name, entry.value)
            case ("module", _, used, *_):
                _bicep_module(unit, path, used, entry.value)
            case ("resource", *_):
                _bicep_resource(unit, path, entry, None)
            case _:
                pass


_VERIFIED = re.compile(r"br(?:/public:|:mcr\.microsoft\.com/bicep/)avm/res/([a-z-]+)/([a-z-]+):", re.IGNORECASE)
"""An Azure Verified Module of one resource, `br/public:avm/res/container-service/managed-cluster:0.9.0`."""


def _bicep_module(unit: Unit, path: str, used: str, node: Node) -> None:
    """Take in the use of a file of the repository, or of a verified module, which declares what it is called by."""
    whole = node.items[0] if len(node.items) == 1 else node
    arguments = whole.named("params")
    if verified := _VERIFIED.match(used):
        provider, kind = (word.replace("-", "").lower() for word in verified.groups())
        told = (arguments or Node(node.line))._replace(line=node.line)
        declaration = Declaration(path, f"microsoft.{provider}/{plural(kind)}", told, told.named("name"), flat=True)
        unit.declared.append(declaration)
    else:
        of = posixpath.normpath(posixpath.join(posixpath.dirname(path), used))
        unit.uses.append(Use(of, _fields(arguments)))


def _bicep_resource(unit: Unit, path: str, entry: Entry, around: Declaration | None) -> None:
    """Take in `resource symbol 'type@version' existing? = { … }`, and those inside it, which are its children."""
    words = _words(entry)
    if len(words) < 3:  # noqa: PLR2004 - resource, symbol and type
        return
    node = entry.value.items[0] if len(entry.value.items) == 1 else entry.value  # [for each in all: { … }]
    node = node._replace(line=entry.value.line)
    kind = words[2].partition("@")[0].lower()
    name = node.named("name")
    parents: tuple[Node | None, ...] = ()
    if around:
        kind = f"{around.type}/{kind}"
        parents = (*around.parents, around.name)
    elif parent := node.named("parent"):
        symbol = "".join(token.text for token in parent.tokens)
        parents = (unit.definitions.get(f"{symbol}.name", parent),)
    if name:
        unit.definitions.setdefault(f"{words[1]}.name", name)
    declaration = Declaration(path, kind, node, name, parents)
    if "existing" not in words[3:]:
        unit.declared.append(declaration)
    for inner in node.entries:
        if _words(inner)[:1] == ("resource",):
            _bicep_resource(unit, path, inner, declaration)


def _fields(node: Node | None) -> dict[str, Node]:
    return {_words(entry)[0]: entry.value for entry in node.entries if len(entry.head) == 1} if node else {}


def fill_from_terraform(unit: Unit, path: str, root: Node) -> None:
    """Take in one file of a Terraform module."""
    for entry in root.entries:
        match _words(entry):
            case ("variable", name):
                if default := entry.value.named("default"):
                    unit.definitions.setdefault(f"var.{name}", default)
            case ("locals",):
                for name, value in _fields(entry.value).items():
                    unit.definitions.setdefault(f"local.{name}", value)
            case ("module", _):
                _terraform_module(unit, entry.value)
            case ("resource", kind, symbol):
                _terraform_resource(unit, path, f"{kind}.{symbol}", entry.value)
            case ("data", kind, symbol):
                _named_by(unit, f"data.{kind}.{symbol}", entry.value)
            case _:
                pass


def _terraform_module(unit: Unit, node: Node) -> None:
    source = evaluate(node.named("source"), Scope({}, {}, {}))
    if source and source.startswith("."):
        of = posixpath.normpath(posixpath.join(unit.key, source))
        arguments = {f"var.{name}": value for name, value in _fields(node).items()}
        unit.uses.append(Use(of, arguments))


def _named_by(unit: Unit, symbol: str, node: Node) -> None:
    """Let both `symbol.name` and `symbol.id` lead to the name: what is joined here are names."""
    if name := node.named("name"):
        unit.definitions.setdefault(f"{symbol}.name", name)
        unit.definitions.setdefault(f"{symbol}.id", name)


def _terraform_resource(unit: Unit, path: str, symbol: str, node: Node) -> None:
    kind = symbol.partition(".")[0]
    _named_by(unit, symbol, node)
    if kind == "azapi_resource":
        _azapi(unit, path, node)
    elif written := WRITTEN.get(kind):
        parents = (node.named(written.parent),) if written.parent else ()
        unit.declared.append(
            Declaration(
                path,
                written.type.lower(),
                node,
                node.named("name"),
                parents,
                node.named("resource_group_name"),
                written,
            )
        )


def _azapi(unit: Unit, path: str, node: Node) -> None:
    """Take in a resource that is written as Azure has it, under `body`."""
    kind = evaluate(node.named("type"), Scope(unit.definitions, {}, {}))
    if kind:
        kind, body = kind.partition("@")[0].lower(), node.named("body")
        parents = (node.named("parent_id"),) if kind.count("/") > 1 else ()
        whole = node._replace(entries=(*node.entries, *(body.entries if body else ())))
        unit.declared.append(Declaration(path, kind, whole, node.named("name"), parents))


def fill_from_arm(unit: Unit, path: str, root: Node) -> None:
    """Take in an ARM template: its resources, those inside them, and those of the templates that it deploys inline."""
    for name, value in _fields(root.named("parameters")).items():
        if default := value.named("defaultValue"):
            unit.definitions.setdefault(f"parameters.{name}", default)
    for name, value in _fields(root.named("variables")).items():
        unit.definitions.setdefault(f"variables.{name}", value)
    for resource in _resources(root):
        _arm_resource(unit, path, resource, None)


def _resources(node: Node) -> Iterator[Node]:
    """Those of a list, or in the newer way by symbolic names."""
    found = node.named("resources")
    if found:
        yield from found.items
        yield from (entry.value for entry in found.entries)


def _arm_resource(unit: Unit, path: str, node: Node, around: Declaration | None) -> None:
    kind = (evaluate(node.named("type"), Scope({}, {}, {})) or "").lower()
    if not kind:
        return
    if kind == "microsoft.resources/deployments":
        template = (node.named("properties") or node).named("template")
        if template:
            fill_from_arm(unit, path, template)
        return
    name = node.named("name")
    parents: tuple[Node | None, ...] = ()
    if around and "." not in kind.partition("/")[0]:
        kind = f"{around.type}/{kind}"
        parents = (*around.parents, around.name)
    declaration = Declaration(path, kind, node, name, parents)
    if node.named("existing") is None:
        unit.declared.append(declaration)
    for inner in _resources(node):
        _arm_resource(unit, path, inner, declaration)


FILL: Mapping[Language, Fill] = {
    Language.BICEP: fill_from_bicep,
    Language.TERRAFORM: fill_from_terraform,
    Language.JSON: fill_from_arm,
}


def scopes(units: Mapping[str, Unit]) -> dict[str, list[Scope]]:
    """Under which values each unit is read: what those who use it hand in, and where nobody does its own defaults.

    Of what is used in a circle, or from too far away, nothing is known but what is written in it in full.
    """
    used_by: dict[str, list[tuple[str, Use]]] = {}
    for unit in units.values():
        for use in unit.uses:
            if use.of in units:
                used_by.setdefault(use.of, []).append((unit.key, use))
    found: dict[str, list[Scope]] = {}
    for key in units:
        _scopes(key, units, used_by, found, _FARTHEST)
    return found


def _scopes(
    key: str,
    units: Mapping[str, Unit],
    used_by: Mapping[str, list[tuple[str, Use]]],
    found: dict[str, list[Scope]],
    left: int,
) -> list[Scope]:
    if key in found:
        return found[key]
    found[key] = [Scope({}, {}, {})]
    if not left:
        return found[key]
    given: list[Given] = []
    for user, use in used_by.get(key, ()):
        for scope in _scopes(user, units, used_by, found, left - 1)[: _MOST_USES - len(given)]:
            handed = {name: evaluate(value, scope) for name, value in use.arguments.items()}
            given.append(handed)
    found[key] = [Scope(units[key].definitions, values, {}) for values in given or [{}]]
    return found[key]


def names(declaration: Declaration, scope: Scope) -> tuple[str, ...] | None:
    """The names of a resource and its parents, outermost first and in lower case; None where one cannot be told."""
    told = [evaluate(node, scope) for node in (*declaration.parents, declaration.name)]
    if any(one is None for one in told):
        return None
    found = tuple(part.lower() for one in told if one for part in one.split("/"))
    return found if len(found) == declaration.type.count("/") else None
