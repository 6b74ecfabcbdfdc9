"""What a search finds, in the full-text index and without one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas import DataFrame

from tracker_dashboard import full_text, queries, text
from tracker_dashboard.data import Dataset, last_loaded
from tracker_dashboard.full_text import Index, Indexes, IndexUnavailableError
from tracker_dashboard.queries import Scope, StoryFilter
from tracker_dashboard.search import Found, find
from tracker_server.made_up import made_up_workspace
from tracker_server.workspace import Workspace

from .conftest import Command, load_served, new_command
from .forking import Forking

Ask = Callable[..., list[DataFrame]]

LOAD_ID = "1795558602.25"

STORIES = {
    "Reports take long": ("The quarterly figures are slow.", "", ""),
    "Slow page": ("Reporting every quarter, says the customer.", "", ""),
    "Export": ("As a file.", "It reported nothing; foo_bar gave E4711 on 100% of them.", ""),
    "Import": ("", "", "Write the report's importer"),
    "Café Élan": ("Naïve prices: 5€ (C++ only).", "Привет, мир", ""),
    "日本語の検索": ("ภาษาไทย", "Suche nach Häusern", "한국어를 찾기"),
    "Invoice 4711": ("Pay it; the customer says so.", "", ""),
    "हिन्दी में खोज": ("", "", ""),
}
"""Name: description, comment, task."""


def _workspace() -> Workspace:
    workspace = made_up_workspace(projects=1, stories=0, activity=0)
    project = next(iter(workspace.projects))
    for name, (description, comment, task) in STORIES.items():
        kind = "bug" if name == "Export" else "feature"
        story = workspace.create_story(
            project, name=name, description=description, story_type=kind
        )["id"]
        if comment:
            workspace.add_comment(comment, story_id=story)
        if task:
            workspace.add_task(story, task)
    for number in range(30):
        workspace.create_story(project, name=f"Chore {number}", description="Sweeping")
    return workspace


def _load(command: Command, workspace: Workspace) -> Dataset:
    """Loads with the command and reads as the dashboard does."""
    load_served(workspace, command, "--resource", "projects", "stories")
    return _read(command)


def _read(command: Command) -> Dataset:
    """Reads what the command has loaded as the dashboard does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(command.folder)
        for name, value in command.environment().items():
            patch.setenv(name, value)
        return Dataset(last_loaded().name)


@pytest.fixture(scope="module")
def first_load(forking: Forking, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The stories loaded into DuckDB, before any index."""
    command = new_command(forking, tmp_path_factory.mktemp("first_load") / "run")
    _load(command, _workspace())
    return command


@pytest.fixture(scope="module")
def loaded(
    first_load: Command, forking: Forking, tmp_path_factory: pytest.TempPathFactory
) -> Dataset:
    """The stories, in DuckDB."""
    command = new_command(forking, tmp_path_factory.mktemp("search") / "run")
    command.take_over(first_load)
    return _read(command)


@pytest.fixture(scope="module")
def ask(loaded: Dataset) -> Iterator[Ask]:
    """Asks what was loaded as pages do, over a connection that stays open."""
    with loaded.reading() as dataset:
        yield lambda *asked: [dataset(each, query_dialect="duckdb").df() for each in asked]


@pytest.fixture(scope="module")
def index(loaded: Dataset) -> Index:
    """Their index."""
    return _made(Indexes(), loaded)


@pytest.fixture
def folder(loaded: Dataset) -> Iterator[Path]:
    """Where indexes lie, with nothing in it before, and as it was afterwards."""
    place = Path(loaded.pipeline.working_dir) / "full_text"
    kept = place.rename(place.with_name("kept")) if place.exists() else None
    yield place
    if place.is_file():
        place.unlink()
    for path in place.glob("*"):
        path.unlink()
    if kept:
        kept.rename(place)


def _made(indexes: Indexes, loaded: Dataset, load_id: str = LOAD_ID) -> Index:
    """The index, as soon as there is one."""
    until = time.monotonic() + 60
    while True:
        try:
            return indexes.of(loaded, load_id)
        except IndexUnavailableError as error:
            if "is being made" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)


def _search(ask: Ask, index: Index | None, typed: str, page: int = 1, **filters: object) -> Found:
    wanted = replace(
        StoryFilter(words=queries.words_of(typed), literal=queries.literal_of(typed)), **filters
    )
    return find(ask, wanted, page, index)


def _asking(loaded: Dataset) -> Ask:
    """Asks over a connection for each page, as pages do."""
    return lambda *asked: loaded.rows(asked)


def _names(found: Found) -> list[str]:
    return list(found.stories["name"])


IN_INDEX = {
    # by its stem; a name weighs more than a description, that more than the rest
    "report": ["Reports take long", "Slow page", "Import", "Export"],
    "REPORTED": ["Reports take long", "Slow page", "Import", "Export"],
    # every word, in whichever text
    "slow figure": ["Reports take long"],
    "quarter report customers": ["Slow page"],
    # as it stands
    '"says the customer"': ["Slow page"],
    '"the customer" say': ["Invoice 4711", "Slow page"],
    '"report"': ["Reports take long", "Slow page", "Import", "Export"],
    '"reported"': ["Export"],
    "foo_bar": ["Export"],
    "c++": ["Café Élan"],
    # accents, digits, other scripts
    "elan cafe": ["Café Élan"],
    "naïve": ["Café Élan"],
    "nai\u0308ve": ["Café Élan"],
    "4711": ["Invoice 4711"],
    "e4711": ["Export"],
    "100%": ["Export"],
    "МИР": ["Café Élan"],
    "häusern": ["日本語の検索"],
    "हिन्दी": ["हिन्दी में खोज"],
}
LETTER_BY_LETTER = {
    # parts of words
    "repor": {"Reports take long", "Slow page", "Export", "Import"},
    "471": {"Export", "Invoice 4711"},
    "äuser": {"日本語の検索"},
    # no spaces
    "検索": {"日本語の検索"},
    "ไทย": {"日本語の検索"},
    "한국": {"日本語の検索"},
    # no letters
    "++": {"Café Élan"},
    "€": {"Café Élan"},
    "(": {"Café Élan"},
    "'": {"Import"},
    # nothing
    "giraffe": set(),
}


@pytest.mark.parametrize("typed", IN_INDEX)
def test_the_index_finds_words(typed: str, ask: Ask, index: Index) -> None:
    found = _search(ask, index, typed)
    assert _names(found) == IN_INDEX[typed]
    assert (found.number, found.index) == (len(IN_INDEX[typed]), index)


@pytest.mark.parametrize("typed", LETTER_BY_LETTER)
def test_what_no_word_is_like_is_found_letter_by_letter(typed: str, ask: Ask, index: Index) -> None:
    found = _search(ask, index, typed)
    assert set(_names(found)) == LETTER_BY_LETTER[typed]
    assert found.number == len(LETTER_BY_LETTER[typed])
    assert found.index is None
    assert _names(_search(ask, None, typed)) == _names(found)


def test_a_number_finds_the_story_of_that_id(loaded: Dataset, ask: Ask, index: Index) -> None:
    (number,) = loaded.run_user_sql("SELECT id FROM stories WHERE name = 'Slow page'")["id"]
    for typed in (f"{number}", f"#{number}"):
        found = _search(ask, index, typed)
        assert (_names(found), found.index) == (["Slow page"], index)


def test_filters_leave_out_what_the_index_finds(loaded: Dataset, ask: Ask, index: Index) -> None:
    assert _names(_search(ask, index, "report", types=("bug",))) == ["Export"]
    assert _names(_search(ask, index, "report", types=("chore",))) == []
    project = int(loaded.run_user_sql("SELECT id FROM projects")["id"][0])
    every = IN_INDEX["report"]
    assert _names(_search(ask, index, "report", scope=Scope((project,)))) == every
    assert _names(_search(ask, index, "report", scope=Scope((project + 1,)))) == []
    before = Scope(until=date(2001, 1, 1))
    assert _names(_search(ask, index, "report", scope=before)) == []


def test_what_is_found_comes_page_by_page(loaded: Dataset, ask: Ask, index: Index) -> None:
    first, second, none = (_search(ask, index, "sweep", page) for page in (1, 2, 9))
    assert [each.number for each in (first, second, none)] == [30, 30, 30]
    assert _names(none) == _names(first)
    # all alike: the latest changed first
    latest = loaded.run_user_sql(
        "SELECT name FROM stories WHERE name LIKE 'Chore %' ORDER BY updated_at DESC, id DESC"
    )
    assert _names(first) + _names(second) == list(latest["name"])
    beyond = _search(ask, None, "sweep", 9)
    assert _names(beyond) == _names(_search(ask, None, "sweep"))


def test_what_is_marked_is_the_form_that_was_found(ask: Ask, index: Index) -> None:
    for typed, shown in {
        "report": "It <mark>reported</mark> nothing; foo_bar gave E4711 on 100% of them.",
        '"100%" reports': "It <mark>reported</mark> nothing; foo_bar gave E4711 on 100% of them.",
        '"100%"': "It reported nothing; foo_bar gave E4711 on <mark>100%</mark> of them.",
        "foo": "It reported nothing; <mark>foo</mark>_bar gave E4711 on 100% of them.",
    }.items():
        wanted = StoryFilter(words=queries.words_of(typed), literal=queries.literal_of(typed))
        marked = _search(ask, index, typed).marked([STORIES["Export"][1]], wanted)
        assert text.excerpt(STORIES["Export"][1], marked) == shown


_WORDS = {
    name: set(re.findall(r"[^\W_]+", " ".join([name, *texts]).lower()))
    for name, texts in STORIES.items()
    if "हिन्दी" not in name  # its vowels are marks, which Python parts words at
}


@pytest.fixture(scope="module")
def names(loaded: Dataset) -> dict[int, str]:
    """Of the stories, by id."""
    return dict(loaded.run_user_sql("SELECT id, name FROM stories").itertuples(index=False))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(sorted(set().union(*_WORDS.values()))), min_size=1, max_size=3))
def test_no_story_that_has_the_whole_words_is_missing(
    index: Index, names: dict[int, str], words: list[str]
) -> None:
    found = {names[number] for number in index.scores(words)["id"]}
    assert found >= {name for name, has in _WORDS.items() if has >= set(words)}


def test_index_is_kept_until_the_next_load(command: Command, first_load: Command) -> None:
    workspace = _workspace()
    command.take_over(first_load)
    loaded = _read(command)
    indexes = Indexes()
    first = _made(indexes, loaded, loaded.load_id())
    assert indexes.of(loaded, loaded.load_id()) is first
    again = _made(Indexes(), loaded, loaded.load_id())
    assert again.path == first.path
    assert _names(_search(_asking(loaded), first, "giraffe")) == []
    project = next(iter(workspace.projects))
    workspace.create_story(project, name="Giraffes")
    loaded = _load(command, workspace)
    second = _made(indexes, loaded, loaded.load_id())
    found = _search(_asking(loaded), second, "giraffe")
    assert (_names(found), found.index) == (["Giraffes"], second)
    assert list(second.path.parent.iterdir()) == [second.path]
    assert second.path != first.path


def test_a_file_that_is_no_index_is_made_anew(loaded: Dataset, folder: Path) -> None:
    path = _made(Indexes(), loaded, "../else/where").path
    assert path.parent == folder
    path.unlink()
    path.write_bytes(b"nothing of the kind")
    assert len(_made(Indexes(), loaded, "../else/where").scores(["report"])) == 4
    path.unlink()
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE documents (id BIGINT)")
    assert len(_made(Indexes(), loaded, "../else/where").scores(["report"])) == 4


def test_where_no_index_can_be_it_is_said(
    loaded: Dataset, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder.write_text("in the way")
    with pytest.raises(IndexUnavailableError, match=r"could not be made: .*exists"):
        _made(Indexes(), loaded)
    folder.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(full_text, "find_spec", lambda _: None)
        patch.setenv("HOME", str(tmp_path))
        with pytest.raises(IndexUnavailableError, match='pip install "duckdb-extension-fts'):
            _made(Indexes(), loaded)
        patch.setattr(Dataset, "destination_name", "postgres")
        with pytest.raises(IndexUnavailableError, match="DuckDB alone"):
            Indexes().of(loaded, LOAD_ID)
    assert not list(folder.glob("*"))


def test_the_index_answers_nothing_else(index: Index) -> None:
    for statement in (
        "SELECT * FROM read_text('/etc/hostname')",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "DELETE FROM fts_main_documents.docs",
    ):
        with pytest.raises(duckdb.Error):
            index._connection.execute(statement)
