"""Rules beside the built-in ones: packages that bring them by an entry point, and folders of them.

A folder's modules are imported under private names: they clash with nothing that is installed, leave Python's search
path as it is, and no bytecode beside them. A pack that cannot be used whole is refused whole, since an audit without
a rule that was asked for would be silent about it.
"""

import hashlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint
from importlib.resources import files
from pathlib import Path
from types import CodeType, ModuleType

from aks_audit.errors import AuditError
from aks_audit.packs import declarative
from aks_audit.rule import Rule

OWN = "AKS-"
"""How the ids of the built-in rules begin, and no others do."""

_ID = re.compile(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)+")
_LONGEST_ID = 40
_NO_RULES = re.compile(r"__init__\.py|conftest\.py|test_.*\.py|.*_test\.py")
"""The modules of a folder that hold its author's tests, as pytest calls them, and no rules."""


class PackError(AuditError):
    """Rules that cannot be used; the message names the file and line, or the package, and what is wrong."""


def check_id(rule_id: str) -> None:
    """Refuse what is no id for a rule that is not built in.

    Raises:
        PackError: it is none, or one that only built-in rules have.
    """
    if not _ID.fullmatch(rule_id) or len(rule_id) > _LONGEST_ID:
        raise PackError(
            f"{rule_id!r} is no id of a rule; write capitals and digits in groups, such as HOUSE-NET-01, "
            f"{_LONGEST_ID} characters at most"
        )
    if rule_id.startswith(OWN):
        raise PackError(f"{rule_id}: ids that begin with {OWN} are those of the built-in rules; begin with your own")


def of_package(entry: EntryPoint) -> tuple[Rule, ...]:
    """The rules of an installed package: a tuple of them, or a module with `RULES`, `*.rule.toml` files, or both.

    Raises:
        PackError: the package cannot be imported, or brings something else.
        DeclarationError: one of its files is not well formed.
    """
    try:
        found = entry.load()
    except (Exception, SystemExit) as error:
        raise PackError(
            f"the rules of {entry.value} cannot be imported: {_told(error)}; mend or uninstall it"
        ) from error
    if not isinstance(found, ModuleType):
        return _checked(entry.value, found, built_in=entry.module.partition(".")[0] == "aks_audit_rules")
    beside = sorted(files(found).iterdir(), key=lambda file: file.name) if hasattr(found, "__path__") else []
    texts = [(file.name, file.read_text("utf-8")) for file in beside if file.name.endswith(declarative.SUFFIX)]
    declared = [rule for name, text in texts for rule in declarative.read(f"{entry.value}/{name}", text)]
    if not declared and not hasattr(found, "RULES"):
        raise PackError(f"{entry.value}: has neither RULES nor *{declarative.SUFFIX} files; uninstall it")
    return (*_checked(entry.value, getattr(found, "RULES", ())), *_checked(entry.value, declared))


def of_folder(folder: Path) -> tuple[Rule, ...]:
    """The rules of the modules and `*.rule.toml` files that stand in a folder itself.

    Raises:
        PackError: there is no such folder, no rule in it, or a module that cannot be imported or has no `RULES`.
        DeclarationError: a `*.rule.toml` file is not well formed.
    """
    if not folder.is_dir():
        raise PackError(
            f"{folder}: is no folder; name one with rules, or make a rule: aks-audit rules new ID --dir DIR"
        )
    modules = [file for file in sorted(folder.glob("*.py")) if not _NO_RULES.fullmatch(file.name)]
    declared = sorted(folder.glob(f"*{declarative.SUFFIX}"))
    if not modules and not declared:
        raise PackError(
            f"{folder}: holds no rules (*.py, *{declarative.SUFFIX}); make one: aks-audit rules new ID --dir {folder}"
        )
    if odd := [file for file in (*modules, *declared) if not file.is_file()]:
        raise PackError(f"{odd[0]}: is no file that can be read; take it away, or name it otherwise")
    return (
        *(rule for file in modules for rule in _of_module(file)),
        *(rule for file in declared for rule in _checked(str(file), tuple(declarative.read(str(file), _text(file))))),
    )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise PackError(f"{file}: cannot be read ({problem})") from None


class _Loader(SourceFileLoader):
    """Compiles a module's source, and neither reads nor writes bytecode."""

    def get_code(self, fullname: str) -> CodeType:
        """The code of the source as it is now."""
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


def _of_module(file: Path) -> tuple[Rule, ...]:
    path = str(file.resolve())
    name = f"_aks_audit_pack_{hashlib.sha256(path.encode()).hexdigest()[:16]}_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_Loader(name, path))
    if spec is None:  # pragma: no cover - a loader was given
        raise AssertionError
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        _Loader(name, path).exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise PackError(f"{file}:{_line(error, path)}: cannot be imported: {_told(error)}") from error
    if "RULES" not in vars(module):
        raise PackError(f"{file}: has no RULES; put its rules into a tuple of that name")
    return _checked(str(file), vars(module)["RULES"])


def _line(error: BaseException, path: str) -> int:
    """The last line of a file that an error came through; in a file that is not Python, the line that is not."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return error.lineno or 1
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return (lines[-1] if lines else None) or 1


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _checked(where: str, found: object, *, built_in: bool = False) -> tuple[Rule, ...]:
    """What a pack brings, where it is rules with ids that it may use."""
    try:
        rules = tuple(_rules(where, found))
    except PackError:
        raise
    except Exception as error:
        raise PackError(f"{where}: RULES cannot be read: {_told(error)}") from error
    for rule in () if built_in else rules:
        try:
            check_id(rule.id)
        except PackError as problem:
            raise PackError(f"{where}: {problem}") from None
    return rules


def _rules(where: str, found: object) -> Iterator[Rule]:
    if not isinstance(found, Iterable):
        raise PackError(f"{where}: RULES is {type(found).__name__}, not a tuple of rules")
    for one in found:
        if not isinstance(one, Rule):
            raise PackError(f"{where}: RULES holds {one!r}, which is no rule; put @rule(…) on the function")
        yield one
