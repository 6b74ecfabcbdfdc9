"""A generated project, exported in the layout of each year and saved again by a spreadsheet.

The records of each file are compared with those of Tracker's own file, and these with the project.
"""

# ruff: noqa: RUF001 - texts of many languages

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ..support.archive_reading import Read, Record, read
from ..support.command import Command
from ..support.exports import LAYOUTS, Layout, Row, as_csv, ragged, table, write_workbook

NAME = "garden_20210501_0900"

Days = dict[str, date]
"""The dates of a story by the attribute of its row."""


@dataclass(frozen=True)
class Story:
    """A story of the project: a row, and its dates and estimate before formatting."""

    row: Row
    days: Days
    estimate: float | None


@dataclass(frozen=True)
class Spreadsheet:
    """How a spreadsheet saves a table in some language.

    Attributes:
        format_date: Formats a date.
        delimiter: Separates cells.
        decimal: The decimal separator.
        encoding: The encoding of the file.
        texts: Texts in the language, which the encoding can represent.
        above: Text above the header.
        format_id: Formats an id.
    """

    format_date: Callable[[date], str]
    delimiter: str = ","
    decimal: str = "."
    encoding: str = "utf-8"
    texts: tuple[str, ...] = ("Paint the fence", "Oil, then close", 'Say "no"', "a\nb")
    above: str = ""
    format_id: Callable[[int], str] = str


def tracker_date(day: date) -> str:
    return f"{day:%b} {day.day}, {day.year}"


def with_month_names(months: str, form: str) -> Callable[[date], str]:
    """Return a function that formats dates with the names of months in a language."""
    names = months.split()
    return lambda day: form.format(
        d=day.day, dd=f"{day.day:02}", m=names[day.month - 1], y=day.year, yy=f"{day.year % 100:02}"
    )


GERMAN = ("Tür ölen", "Größe ändern, prüfen", "Übersicht „neu“", "Maße\nprüfen")
FRENCH = ("Créer l’écran", "Déjà prêt, à vérifier", "Où ça coûte 5 €", "Être\nprêt")
SPANISH = ("Añadir página", "¿Cuándo, señor?", "Búsqueda rápida", "Más\nopción")
PORTUGUESE = ("Não há opção", "Criação, edição", "Página é lenta", "Ação\nã")
JAPANESE = ("ログイン画面を作る", "検索画面、不具合", "ユーザー登録", "一覧\n表示")
FRENCH_MONTHS = "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc."
SPANISH_MONTHS = "ene feb mar abr may jun jul ago sep oct nov dic"
PORTUGUESE_MONTHS = "jan fev mar abr mai jun jul ago set out nov dez"
GERMAN_MONTHS = "Jan Feb Mrz Apr Mai Jun Jul Aug Sep Okt Nov Dez"
SERIAL = date(1899, 12, 30)

SPREADSHEETS = {
    "American": Spreadsheet(lambda d: f"{d.month}/{d.day}/{d.year}"),
    "American, short": Spreadsheet(lambda d: f"{d.month}/{d.day}/{d:%y}"),
    "American, by name": Spreadsheet(lambda d: f"{d.day}-{d:%b-%y}"),
    "American, long": Spreadsheet(lambda d: f"{d:%A}, {d:%B} {d.day}, {d.year}"),
    "British": Spreadsheet(lambda d: f"{d:%d/%m/%Y}"),
    "British, short": Spreadsheet(lambda d: f"{d:%d/%m/%Y}", format_id=lambda n: f"{n}.0"),
    "Dutch": Spreadsheet(lambda d: f"{d.day}-{d.month}-{d.year}", ";", ","),
    "German": Spreadsheet(lambda d: f"{d:%d.%m.%Y}", ";", ",", "cp1252", GERMAN),
    "German, by name": Spreadsheet(
        with_month_names(GERMAN_MONTHS, "{dd}. {m} {yy}"), ";", ",", texts=GERMAN
    ),
    "German on a Mac": Spreadsheet(lambda d: f"{d:%d.%m.%y}", ";", ",", "mac_roman", GERMAN),
    "French": Spreadsheet(lambda d: f"{d:%d/%m/%Y}", ";", ",", "cp1252", FRENCH),
    "French, by name": Spreadsheet(
        with_month_names(FRENCH_MONTHS, "{d} {m} {y}"), ";", ",", "mac_roman", FRENCH
    ),
    "Spanish": Spreadsheet(lambda d: f"{d:%d/%m/%Y}", ";", ",", "cp1252", SPANISH),
    "Spanish, by name": Spreadsheet(
        with_month_names(SPANISH_MONTHS, "{d}-{m}-{yy}"), ";", ",", texts=SPANISH
    ),
    "Portuguese": Spreadsheet(
        with_month_names(PORTUGUESE_MONTHS, "{dd}/{m}/{y}"), ";", ",", "cp1252", PORTUGUESE
    ),
    "Portuguese, long": Spreadsheet(
        with_month_names(PORTUGUESE_MONTHS, "{d} de {m} de {y}"), texts=PORTUGUESE
    ),
    "Japanese": Spreadsheet(
        lambda d: f"{d.year}/{d.month}/{d.day}", encoding="cp932", texts=JAPANESE
    ),
    "Japanese, long": Spreadsheet(
        lambda d: f"{d.year}年{d.month}月{d.day}日", encoding="cp932", texts=JAPANESE
    ),
    "ISO": Spreadsheet(date.isoformat, "\t", encoding="utf-16", texts=JAPANESE),
    "serial numbers": Spreadsheet(lambda d: str((d - SERIAL).days), "|"),
    "a line for Excel": Spreadsheet(tracker_date, ";", ",", above="sep=;\n"),
    "a title": Spreadsheet(tracker_date, above='"All stories, exported for the audit"\n\n'),
}
FIRST_UNAMBIGUOUS_DAY = 13
"""The first day that cannot be the number of a month."""


def days() -> st.SearchStrategy[date]:
    return st.dates(date(2010, 1, 1), date(2024, 12, 31))


@st.composite
def projects(draw: st.DrawFn, texts: tuple[str, ...]) -> list[Story]:
    """Draw some stories; one of their dates shows the order of day and month."""
    stories = []
    for number in range(draw(st.integers(1, 5))):
        created = draw(days())
        first = {"created": created.replace(day=draw(st.integers(FIRST_UNAMBIGUOUS_DAY, 28)))}
        more = {"accepted": draw(days()), "start": draw(days())} if draw(st.booleans()) else {}
        if "start" in more:
            more["end"] = more["start"] + timedelta(days=6)
        text = st.sampled_from(texts)
        row = Row(
            100 + number,
            draw(text),
            type=draw(st.sampled_from(["feature", "bug", "chore", "release"])),
            labels=", ".join(draw(st.lists(st.sampled_from(["ui", "api"]), unique=True))),
            iteration=str(number + 1) if more else "",
            state="accepted" if more else "unstarted",
            requested_by=draw(st.sampled_from(["Ann Lee", "Bob Ray"])),
            description=draw(text),
            url=f"https://www.pivotaltracker.com/story/show/{100 + number}",
            owners=draw(st.lists(st.sampled_from(["Ann Lee", "Bob Ray"]), unique=True)),
            comments=draw(st.lists(st.just("Fine (Ann Lee - Nov 3, 2020)"), max_size=2)),
            tasks=draw(st.lists(st.just(("do it", "not completed")), max_size=2)),
        )
        estimate = draw(st.sampled_from([None, 0, 0.5, 1, 3, 8]))
        stories.append(Story(row, (first if not number else {"created": created}) | more, estimate))
    return stories


def rows(stories: list[Story], spreadsheet: Spreadsheet) -> list[Row]:
    """Return the rows of an export as a spreadsheet shows them."""
    return [
        replace(
            story.row,
            estimate=_number(story.estimate).replace(".", spreadsheet.decimal),
            **{name: spreadsheet.format_date(day) for name, day in story.days.items()},
        )
        for story in stories
    ]


def _number(number: float | None) -> str:
    return "" if number is None else f"{number:g}"


def write_export(
    folder: Path, stories: list[Story], layout: Layout, spreadsheet: Spreadsheet, name: str = NAME
) -> Path:
    lines = table(rows(stories, spreadsheet), layout)
    for line in lines[1:]:
        line[0] = spreadsheet.format_id(int(line[0]))
    path = folder / f"{name}.csv"
    text = spreadsheet.above + as_csv(ragged(lines), spreadsheet.delimiter, "\r\n")
    path.write_bytes(text.encode(spreadsheet.encoding))
    return path


def assert_same(found: Read, expected: Read) -> None:
    assert found.records == expected.records
    assert not found.accounting.left_out
    assert not found.accounting.lost_values
    assert not found.accounting.incomplete


def assert_whole(found: Read, stories: list[Story]) -> None:
    """Assert that Tracker's own file has the stories of the project."""
    assert [_comparable_story(record) for record in found.records["stories"]] == [
        {
            "id": story.row.id,
            "name": story.row.title,
            "description": story.row.description,
            "story_type": story.row.type,
            "current_state": story.row.state,
            "estimate": story.estimate,
            "created_at": _midnight(story.days["created"]),
            "accepted_at": _midnight(story.days.get("accepted")),
            "labels": len(story.row.labels.split(", ")) if story.row.labels else 0,
        }
        for story in stories
    ]
    assert {
        i["number"]: (i["start"], i["finish"]) for i in found.records.get("iterations", [])
    } == {
        int(story.row.iteration): (
            _midnight(story.days["start"]),
            _midnight(story.days["end"] + timedelta(days=1)),
        )
        for story in stories
        if story.row.iteration
    }


def _comparable_story(record: Record) -> Record:
    names = ("id", "name", "description", "story_type", "current_state", "estimate")
    values: dict[str, Any] = {name: record.get(name) for name in (*names, "created_at")}
    return {**values, "accepted_at": record.get("accepted_at"), "labels": len(record["labels"])}


def _midnight(day: date | None) -> str | None:
    return f"{day.isoformat()}T00:00:00Z" if day else None


@pytest.mark.parametrize("language", SPREADSHEETS)
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_csv_saved_by_a_spreadsheet_has_the_same_records(
    tmp_path: Path, language: str, data: st.DataObject
) -> None:
    spreadsheet = SPREADSHEETS[language]
    stories = data.draw(projects(spreadsheet.texts))
    layout = LAYOUTS[data.draw(st.sampled_from(list(LAYOUTS)))]
    (tmp_path / "own").mkdir(exist_ok=True)
    own = read(write_export(tmp_path / "own", stories, layout, Spreadsheet(tracker_date)))
    assert_whole(own, stories)
    assert_same(read(write_export(tmp_path, stories, layout, spreadsheet)), own)


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), year=st.sampled_from(list(LAYOUTS)))
def test_workbook_with_dates_and_numbers_has_the_same_records(
    tmp_path: Path, data: st.DataObject, year: str
) -> None:
    stories = data.draw(projects(Spreadsheet(tracker_date).texts))
    own = read(write_export(tmp_path, stories, LAYOUTS[year], Spreadsheet(tracker_date)))
    lines: list[list[Any]] = [*table(rows(stories, Spreadsheet(date.isoformat)), LAYOUTS[year])]
    for line in lines[1:]:
        line[:] = [_typed(cell) for cell in line]
    assert_same(read(write_workbook(tmp_path / f"{NAME}.xlsx", lines)), own)


def _typed(cell: str) -> Any:
    """Convert a cell to the type that a spreadsheet stores."""
    for kind in (int, float, date.fromisoformat):
        try:
            return kind(cell)
        except ValueError:
            continue
    return cell


def test_csv_saved_by_a_spreadsheet_is_loaded(command: Command, tmp_path: Path) -> None:
    story = Row(
        11,
        "Größe ändern",
        iteration="1",
        state="accepted",
        requested_by="Ann Lee",
        comments=["Fine (Ann Lee - Nov 3, 2020)"],
    )
    made = {"created": date(2021, 3, 1), "accepted": date(2021, 3, 9)}
    ends = {"start": date(2021, 3, 8), "end": date(2021, 3, 14)}
    path = write_export(
        tmp_path, [Story(story, made | ends, 0.5)], LAYOUTS["2017"], SPREADSHEETS["German"]
    )
    result = command("--archive", str(path), "--resource", "stories", "iterations")
    assert result.returncode == 0, result.stderr
    tables = command.tables()
    (loaded,) = tables["stories"]
    assert (loaded["name"], loaded["estimate"]) == ("Größe ändern", 0.5)
    assert [f"{loaded[n]:%Y-%m-%d}" for n in ("created_at", "accepted_at")] == [
        "2021-03-01",
        "2021-03-09",
    ]
    (iteration,) = tables["iterations"]
    assert [f"{iteration[n]:%Y-%m-%d}" for n in ("start", "finish")] == ["2021-03-08", "2021-03-15"]
