"""`aks-audit config`: what is wrong with `aks-audit.toml` is said by line and in words, and editors know it."""

import json
import re
import tomllib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

import decisions
from aks_audit import config
from aks_audit.cli import main
from aks_audit.engine import load_rules

DOCS = Path(__file__).parent.parent / "docs"


def day(ahead: int) -> str:
    """The day so many days from now."""
    return (datetime.now(UTC).date() + timedelta(days=ahead)).isoformat()


def exception(**changed: str | None) -> str:
    return decisions.exception(**{"resource": '"/subscriptions/1"', "expires": day(100), **changed})


def check(capsys: pytest.CaptureFixture[str], folder: Path, text: str, *options: str) -> tuple[int, list[str], str]:
    """The exit code, the lines on standard output without their folder, and what was said on the way."""
    file = folder / config.FILE_NAME
    file.write_text(text, encoding="utf-8")
    code = main(["config", "check", str(file), *options])
    out, err = capsys.readouterr()
    return code, out.replace(f"{folder}/", "").splitlines(), err.replace(f"{folder}/", "")


def test_a_good_file_is_said_to_be_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines, said = check(capsys, tmp_path, exception())
    assert (code, lines) == (0, [])
    assert "aks-audit.toml: 1 entry, 0 at fault, 0 expired or soon to expire" in said


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"rule": '"AKS-IAM-4"'}, "there is no rule AKS-IAM-4 (did you mean AKS-IAM-04?)"),
        ({"rule": '"nonsense"'}, "there is no rule nonsense; `aks-audit rules` lists them, --rules DIR adds yours"),
        ({"rule": "3"}, '`rule` has to be a text in quotes, "like this"'),
        ({"owner": None}, "`owner` is missing"),
        ({"owner": '" "'}, "`owner` is empty"),
        ({"expires": '"spring"'}, "`expires` has to be a date such as 2027-01-31"),
        ({"expires": "2027"}, "`expires` has to be a date such as 2027-01-31"),
        ({"expires": "12:00:00"}, "`expires` has to be a date such as 2027-01-31"),
        ({"aproved_by": '"x"'}, "`aproved-by` has no meaning here (did you mean approved-by?)"),
        ({"zzz": '"x"'}, "`zzz` has no meaning here; there are: rule, reason, owner,"),
        ({"resource_glob": '"*/x"'}, "name one of `resource`, an exact id, and `resource-glob`"),
        ({"expires": "2999-01-01"}, "`expires` is more than a year ahead"),
    ],
)
def test_what_is_wrong_is_said_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, str | None], says: str
) -> None:
    code, lines, _ = check(capsys, tmp_path, f"\n\n{exception(**changed)}")
    assert code == 2
    (line,) = lines
    assert line.startswith("aks-audit.toml:3: exception")
    assert says in line
    assert not re.search(r"\$\.|RFC|Object|Expected", line), "no word of a decoder"


def test_all_that_is_wrong_with_an_entry_is_said_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, (line,), _ = check(capsys, tmp_path, exception(owner=None, expires='"spring"', reason='""'))
    assert all(f"`{name}`" in line for name in ("owner", "expires", "reason"))


@pytest.mark.parametrize(
    ("ahead", "options", "code"),
    [
        (31, (), 0),
        (30, (), 1),
        (0, (), 1),
        (-1, (), 1),
        (5, ("--ahead", "0"), 0),
        (-1, ("--ahead", "0"), 1),
        (200, ("--ahead", "200"), 1),
        (200, ("--ahead", "199"), 0),
        (200, ("--ahead", "9" * 30), 1),
    ],
)
def test_the_day_of_today_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ahead: int, options: tuple[str, ...], code: int
) -> None:
    told, lines, _ = check(capsys, tmp_path, exception(expires=day(ahead)), *options)
    assert told == code
    assert all(day(ahead) in line and "renew it, or take it out" in line for line in lines)
    assert len(lines) == code


def test_a_fault_wins_over_an_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines, _ = check(capsys, tmp_path, exception(expires=day(1)) + exception(owner=None))
    assert (code, len(lines)) == (2, 2)


def test_severities_disabled_rules_and_sources_are_checked_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = """\
[[severity]]
rule = "AKS-IAM-04"
severity = "hgh"
reason = "x"
[[disabled]]
rule = "AKS-IAM-99"
reason = "x"
[[source]]
cluster = "aks-prod"
file = "infra/aks.bicep"
"""
    code, lines, _ = check(capsys, tmp_path, text)
    assert code == 2
    assert [line.partition(": ")[0] for line in lines] == [f"aks-audit.toml:{number}" for number in (1, 5, 8)]
    assert '`severity` has to be one of "critical", "high"' in lines[0]
    assert "there is no file infra/aks.bicep in the folder of aks-audit.toml" in lines[2]
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "aks.bicep").touch()
    assert len(check(capsys, tmp_path, text)[1]) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("\n[[exeption]]\n", "aks-audit.toml:2: has no meaning for 'exeption' (did you mean exception?); there are: "),
        ("\n\n[exception]\n", "aks-audit.toml:3: exception is a list of tables; write each as [[exception]]"),
        ("a = 1\n[[exception\n", "aks-audit.toml:2: is not TOML: "),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    code, lines, said = check(capsys, tmp_path, text)
    assert (code, lines) == (2, [])
    assert says in said


def test_hostile_text_does_nothing_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, lines, _ = check(capsys, tmp_path, exception(rule=r'"a\u001b[2J\nb"', **{r'"x\u001b]0;y\n"': "1"}))
    assert len(lines) == 1
    assert lines[0].isprintable()


def test_the_nearest_file_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["config", "check"]) == 2
    assert "there is no aks-audit.toml here or above" in capsys.readouterr().err
    (tmp_path / config.FILE_NAME).write_text(exception(), encoding="utf-8")
    assert main(["config", "check"]) == 0


def schema() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(config.schema([rule.id for rule in load_rules()]))
    return read


def as_json(text: str) -> Any:  # noqa: ANN401 - any JSON value
    """What an editor holds against the schema: dates are texts."""
    return json.loads(json.dumps(tomllib.loads(text), default=date.isoformat))


def valid(text: str) -> bool:
    validator = Draft202012Validator(schema(), format_checker=FormatChecker())
    return not list(validator.iter_errors(as_json(text)))


def test_editors_see_what_the_check_sees() -> None:
    assert valid(exception())
    assert valid(exception(resource=None, resource_glob='"*/managedClusters/a"', rule='"HOUSE-01"'))
    for wrong in (
        {"owner": None},
        {"owner": '""'},
        {"expires": '"spring"'},
        {"because": '"x"'},
        {"resource_glob": '"*/x"'},
        {"resource": None},
        {"rule": "3"},
    ):
        assert not valid(exception(**wrong)), wrong
    assert not valid('[[severity]]\nrule = "a"\nseverity = "hgh"\nreason = "x"\n')
    assert not valid("[[exeption]]\n")


def test_the_schema_describes_every_key_and_names_the_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == 0
    printed = json.loads(capsys.readouterr().out)
    Draft202012Validator.check_schema(printed)
    entries = [definition for definition in printed["$defs"].values() if "properties" in definition]
    assert len(entries) == 4
    for definition in entries:
        assert all(part["description"] for part in definition["properties"].values())
    assert "AKS-IAM-04" in printed["$defs"]["RuleId"]["enum"]


def house(folder: Path) -> str:
    """A folder with one rule of one's own, HOUSE-TAG-01."""
    assert main(["rules", "new", "HOUSE-TAG-01", "--dir", str(folder), "--declarative"]) == 0
    return str(folder)


def test_decisions_on_rules_of_ones_own_are_checked_with_those_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = house(tmp_path / "house")
    capsys.readouterr()
    text = exception(rule='"HOUSE-TAG-01"')
    code, lines, _ = check(capsys, tmp_path, text)
    assert (code, "there is no rule HOUSE-TAG-01" in lines[0]) == (2, True)
    assert check(capsys, tmp_path, text, "--rules", rules)[:2] == (0, [])
    assert main(["config", "schema", "--rules", rules]) == 0
    assert "HOUSE-TAG-01" in json.loads(capsys.readouterr().out)["$defs"]["RuleId"]["enum"]


def test_several_files_are_checked_at_once_as_hooks_name_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {"good": exception(), "ends": exception(expires=day(3)), "wrong": exception(owner=None)}
    files = []
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        files.append(tmp_path / name / config.FILE_NAME)
        files[-1].write_text(text, encoding="utf-8")
    assert main(["config", "check", *map(str, files)]) == 2
    ends, wrong = capsys.readouterr().out.splitlines()
    assert (str(files[1]) in ends, str(files[2]) in wrong) == (True, True)
    assert main(["config", "check", *map(str, files[:2])]) == 1
    assert main(["config", "check", str(files[0]), str(files[0])]) == 0


def example() -> str:
    """The worked example of the documentation, expiring in a while from today instead of on its days."""
    text = (DOCS / "configuration.md").read_text("utf-8").partition("```toml\n")[2].partition("```")[0]
    return re.sub(r"\b2027-\d\d-\d\d\b", day(100), text)


def test_the_example_of_the_documentation_is_checked_and_decides_what_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "infra").mkdir()
    declared = "resource aks 'Microsoft.ContainerService/managedClusters@2025-05-01' = { name: 'aks-web' }\n"
    (tmp_path / "infra" / "aks.bicep").write_text(declared)
    code, lines, _ = check(capsys, tmp_path, example())
    assert (code, lines) == (0, [])
    assert valid(example())
    assert main(["scan", "--demo", "--config", str(tmp_path / config.FILE_NAME), "--format", "json"]) in {1, 3}
    policy = json.loads(capsys.readouterr().out)["policy"]["entries"]
    assert {entry["table"] for entry in policy} == {"exception", "severity", "disabled", "source"}
    assert all(entry["state"] == "in-force" for entry in policy)
    assert all(entry["matched"] for entry in policy if entry["table"] == "exception")


def test_the_documentation_names_every_key() -> None:
    text = (DOCS / "configuration.md").read_text("utf-8")
    for definition in schema()["$defs"].values():
        assert all(f"`{key}`" in text for key in definition.get("properties", {}))
