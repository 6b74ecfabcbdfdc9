"""What a search finds, with the full-text index and without it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas import DataFrame

from pivotal_tracker.tables import STORY_STATES, STORY_TYPES
from tracker_dashboard import full_text, search_syntax, text
from tracker_dashboard.data import Dataset, last_loaded
from tracker_dashboard.full_text import Index, IndexManager, IndexUnavailableError
from tracker_dashboard.queries import stories as story_queries
from tracker_dashboard.search import RELEVANCE, SearchResult, search, suggestion
from tracker_dashboard.search_syntax import (
    And,
    DateRange,
    Field,
    Not,
    Or,
    Word,
    parse,
    quote,
    story_reference,
)
from tracker_server.sample import generate_workspace
from tracker_server.workspace import Workspace

from ..support.command import Command, load_served, new_command
from ..support.forking import ForkServer

Read = Callable[..., list[DataFrame]]

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
    workspace = generate_workspace(projects=1, stories=0, activity=0)
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
    """Load with the command, and read as the dashboard does."""
    load_served(workspace, command, "--resource", "projects", "stories")
    return _read(command)


def _read(command: Command) -> Dataset:
    """Read what the command has loaded as the dashboard does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(command.folder)
        for name, value in command.environment().items():
            patch.setenv(name, value)
        return Dataset(last_loaded().name)


@pytest.fixture(scope="module")
def first_load(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The stories loaded into DuckDB, before any index."""
    command = new_command(fork_server, tmp_path_factory.mktemp("first_load") / "run")
    _load(command, _workspace())
    return command


@pytest.fixture(scope="module")
def loaded(
    first_load: Command, fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory
) -> Dataset:
    """The stories, in DuckDB."""
    command = new_command(fork_server, tmp_path_factory.mktemp("search") / "run")
    command.take_over(first_load)
    return _read(command)


@pytest.fixture(scope="module")
def read(loaded: Dataset) -> Iterator[Read]:
    """Run queries on what was loaded, over a connection that stays open."""
    with loaded.connect() as dataset:
        yield lambda *queries: [dataset(query, query_dialect="duckdb").df() for query in queries]


@pytest.fixture(scope="module")
def index(loaded: Dataset) -> Index:
    """Their index."""
    return _wait_for_index(IndexManager(), loaded)


@pytest.fixture
def folder(loaded: Dataset) -> Iterator[Path]:
    """The folder of indexes, emptied for a test and restored after it."""
    place = Path(loaded.pipeline.working_dir) / "full_text"
    kept = place.rename(place.with_name("kept")) if place.exists() else None
    yield place
    if place.is_file():
        place.unlink()
    for path in place.glob("*"):
        path.unlink()
    if kept:
        kept.rename(place)


def _wait_for_index(indexes: IndexManager, loaded: Dataset, load_id: str = LOAD_ID) -> Index:
    """Wait until the index is built; return it."""
    until = time.monotonic() + 60
    while True:
        try:
            return indexes.get(loaded, load_id)
        except IndexUnavailableError as error:
            if "is being made" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)


def _search(read: Read, index: Index | None, typed: str, *projects: int) -> SearchResult:
    return search(read, parse(typed), projects, RELEVANCE, index)


def _read_with(loaded: Dataset) -> Read:
    """Run queries over a new connection each time, as pages do."""
    return lambda *queries: loaded.rows(queries)


def _names(read: Read, result: SearchResult) -> list[str]:
    """The names of the stories found, in order."""
    (stories,) = read(story_queries.stories(tuple(result.story_ids)))
    names = dict(stories[["id", "name"]].itertuples(index=False))
    return [names[number] for number in result.story_ids]


IN_INDEX = {
    # by the stem; a name counts more than a description, which counts more than the rest
    "report": ["Reports take long", "Slow page", "Import", "Export"],
    "REPORTED": ["Reports take long", "Slow page", "Import", "Export"],
    # every word, in any text
    "slow figure": ["Reports take long"],
    "quarter report customers": ["Slow page"],
    '"says the customer" report': ["Slow page"],
    # accents, digits, other scripts
    "elan cafe": ["Café Élan"],
    "naïve": ["Café Élan"],
    "nai\u0308ve": ["Café Élan"],
    "4711": ["Invoice 4711"],
    "e4711": ["Export"],
    "МИР": ["Café Élan"],
    "häusern": ["日本語の検索"],
    "हिन्दी": ["हिन्दी में खोज"],
}
EXACT = {
    '"says the customer"': {"Slow page"},
    '"the customer"': {"Invoice 4711", "Slow page"},
    '"report"': {"Reports take long", "Slow page", "Import", "Export"},
    '"reported"': {"Export"},
    "foo_bar": {"Export"},
    "c++": {"Café Élan"},
    "100%": {"Export"},
    "++": {"Café Élan"},
    "€": {"Café Élan"},
    "'": {"Import"},
}
SUBSTRINGS = {
    # parts of words
    "repor": {"Reports take long", "Slow page", "Export", "Import"},
    "471": {"Export", "Invoice 4711"},
    "äuser": {"日本語の検索"},
    # no spaces between words
    "検索": {"日本語の検索"},
    "ไทย": {"日本語の検索"},
    "한국": {"日本語の検索"},
    "giraffe": set(),
}


@pytest.mark.parametrize("typed", IN_INDEX)
def test_index_finds_words(typed: str, read: Read, index: Index) -> None:
    result = _search(read, index, typed)
    assert _names(read, result) == IN_INDEX[typed]
    assert result.index is index


@pytest.mark.parametrize("typed", EXACT)
def test_phrases_and_words_with_punctuation_are_found_exactly(
    typed: str, read: Read, index: Index
) -> None:
    result = _search(read, index, typed)
    assert set(_names(read, result)) == EXACT[typed]
    assert set(_search(read, None, typed).story_ids) == set(result.story_ids)


@pytest.mark.parametrize("typed", SUBSTRINGS)
def test_text_that_matches_no_word_is_found_as_a_substring(
    typed: str, read: Read, index: Index
) -> None:
    result = _search(read, index, typed)
    assert set(_names(read, result)) == SUBSTRINGS[typed]
    assert result.index is None
    assert _search(read, None, typed).story_ids == result.story_ids


@pytest.mark.parametrize("with_index", [True, False])
def test_operators_combine_with_words(
    with_index: bool, loaded: Dataset, read: Read, index: Index
) -> None:
    used = index if with_index else None
    for typed, expected in {
        "report type:bug": {"Export"},
        "report -type:bug": set(IN_INDEX["report"]) - {"Export"},
        "report -customer": set(IN_INDEX["report"]) - {"Slow page"},
        "invoice OR (type:bug report)": {"Invoice 4711", "Export"},
        "report created:..2001": set(),
        "-has:description -has:comment name:import": {"Import"},
        "owner:none has:task": {"Import", "日本語の検索"},
        "id:1,2": set(),
    }.items():
        assert set(_names(read, _search(read, used, typed))) == expected, typed
    project = int(loaded.run_user_sql("SELECT id FROM projects")["id"][0])
    assert len(_search(read, used, "report", project).story_ids) == 4
    assert not _search(read, used, "report", project + 1).story_ids


def test_results_are_sorted(loaded: Dataset, read: Read) -> None:
    for sort, order in {
        "updated": "updated_at DESC, id DESC",
        "created": "created_at DESC, id DESC",
        "name": "lower(name), id DESC",
        "id": "id DESC",
    }.items():
        expected = loaded.run_user_sql(f"SELECT id FROM stories ORDER BY {order}")["id"]  # noqa: S608 - ours
        assert search(read, parse(""), (), sort, None).story_ids == list(expected), sort


def test_matched_form_of_a_word_is_highlighted(read: Read, index: Index) -> None:
    for typed, shown in {
        "report": "It <mark>reported</mark> nothing; foo_bar gave E4711 on 100% of them.",
        '"100%" reports': "It <mark>reported</mark> nothing; foo_bar gave E4711 on 100% of them.",
        '"100%"': "It reported nothing; foo_bar gave E4711 on <mark>100%</mark> of them.",
    }.items():
        pattern = _search(read, index, typed).highlight([STORIES["Export"][1]], parse(typed))
        assert text.excerpt(STORIES["Export"][1], pattern) == shown


def test_excerpts_leave_out_markup() -> None:
    written = "All **very** much:\n## Done when\n* 2 * 3 tyres\n```\nfoo_bar\n```"
    assert text.excerpt(written, text.substring_pattern(["tyre"])) == (
        "All very much:\nDone when\n* 2 * 3 <mark>tyre</mark>s\n\nfoo_bar\n"
    )


def test_typos_are_corrected(index: Index) -> None:
    names = DataFrame({"field": ["label"], "name": ["Needs design"]})
    for typed, expected in {
        "invoce": "invoice",
        "type:bug qaurterly": "type:bug quarterly",
        "invoice": None,
        "qqqqqqqq": None,
    }.items():
        assert suggestion(typed, parse(typed), index, names) == expected
    typed = "label:needs-desing"
    assert suggestion(typed, parse(typed), None, names) == 'label:"Needs design"'


def test_search_syntax_is_parsed() -> None:
    crash, bug = Word("crash"), Field("type", "bug")
    for typed, expected in {
        "": And(()),
        "Crash type:bug": And((crash, bug)),
        '"no way" -crash': And((Word("no way", is_phrase=True), Not(crash))),
        "crash OR type:bug": Or((crash, bug)),
        "crash or": And((crash, Word("or"))),
        "-(crash OR type:bug)": Not(Or((crash, bug))),
        "((crash) type:bug": And((crash, bug)),
        "type:bug,feature": Or((bug, Field("type", "feature"))),
        "created:2024-02": DateRange("created", date(2024, 2, 1), date(2024, 2, 29)),
        "updated:2024..": DateRange("updated", date(2024, 1, 1), None),
        "accepted:<2024-03-01": DateRange("accepted", None, date(2024, 2, 29)),
        "accepted_since:3/1/2024": DateRange("accepted", date(2024, 3, 1), None),
        "no:label": Not(Field("has", "label")),
        "estimate:none": Not(Field("has", "estimate")),
        "see https://www.pivotaltracker.com/story/show/12": And((Word("see"), Field("id", "12"))),
    }.items():
        assert parse(typed).root == expected, typed
        assert not parse(typed).notes, typed


def test_invalid_terms_are_reported() -> None:
    for typed, note in {
        "colour:red": "not a search field",
        "state:finihsed": "Use one of: accepted",
        "created:soon": "is not a date",
        "created:2024-02-31": "is not a date",
        "iteration:last": "needs a number",
        " ".join(["x"] * 99): "Only the first",
    }.items():
        (message,) = parse(typed).notes
        assert note in message


@settings(deadline=None)  # the machine may be busy
@given(st.text(max_size=60))
def test_any_text_is_parsed(typed: str) -> None:
    query = parse(typed)
    story_queries.matches(query.root)
    story_reference(typed)


@given(st.text(max_size=30))
def test_quoted_values_are_read_back(value: str) -> None:
    cleaned = " ".join(value.replace(chr(34), " ").replace(chr(0), " ").lower().split())
    root = parse(f"label:{quote(value)}").root
    assert not cleaned or "pivotaltracker" in cleaned or root == Field("label", cleaned)


def test_story_references_are_recognized() -> None:
    for typed in (
        "100001291",
        "#100001291",
        "[#100001291]",
        "[Finishes #100001291]",
        "fixed #100001291",
        "https://www.pivotaltracker.com/story/show/100001291",
        "http://pivotaltracker.com/n/projects/99/stories/100001291?utm=x",
    ):
        assert story_reference(typed) == 100001291
    for typed in ("2024", "see #100001291", "label:#1", ""):
        assert story_reference(typed) is None


_WORDS = {
    name: set(re.findall(r"[^\W_]+", " ".join([name, *texts]).lower()))
    for name, texts in STORIES.items()
    if "हिन्दी" not in name  # its vowels are marks, which Python splits words at
}


@pytest.fixture(scope="module")
def names(loaded: Dataset) -> dict[int, str]:
    """The names of the stories, by id."""
    return dict(loaded.run_user_sql("SELECT id, name FROM stories").itertuples(index=False))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(sorted(set().union(*_WORDS.values()))), min_size=1, max_size=3))
def test_all_stories_that_have_the_words_are_found(
    index: Index, names: dict[int, str], words: list[str]
) -> None:
    found = {names[number] for number in index.scores(words)["id"]}
    assert found >= {name for name, has in _WORDS.items() if has >= set(words)}


def test_index_is_kept_until_the_next_load(command: Command, first_load: Command) -> None:
    workspace = _workspace()
    command.take_over(first_load)
    loaded = _read(command)
    indexes = IndexManager()
    first = _wait_for_index(indexes, loaded, loaded.load_id())
    assert indexes.get(loaded, loaded.load_id()) is first
    again = _wait_for_index(IndexManager(), loaded, loaded.load_id())
    assert again.path == first.path
    assert not _search(_read_with(loaded), first, "giraffe").story_ids
    project = next(iter(workspace.projects))
    workspace.create_story(project, name="Giraffes")
    loaded = _load(command, workspace)
    second = _wait_for_index(indexes, loaded, loaded.load_id())
    result = _search(_read_with(loaded), second, "giraffe")
    assert (_names(_read_with(loaded), result), result.index) == (["Giraffes"], second)
    assert list(second.path.parent.iterdir()) == [second.path]
    assert second.path != first.path


def test_damaged_index_is_rebuilt(loaded: Dataset, folder: Path) -> None:
    path = _wait_for_index(IndexManager(), loaded, "../else/where").path
    assert path.parent == folder
    path.unlink()
    path.write_bytes(b"nothing of the kind")
    assert len(_wait_for_index(IndexManager(), loaded, "../else/where").scores(["report"])) == 4
    path.unlink()
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE documents (id BIGINT)")
    assert len(_wait_for_index(IndexManager(), loaded, "../else/where").scores(["report"])) == 4


def test_missing_index_is_explained(
    loaded: Dataset, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder.write_text("in the way")
    with pytest.raises(IndexUnavailableError, match=r"could not be made: .*exists"):
        _wait_for_index(IndexManager(), loaded)
    folder.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(full_text, "find_spec", lambda _: None)
        patch.setenv("HOME", str(tmp_path))
        with pytest.raises(IndexUnavailableError, match='pip install "duckdb-extension-fts'):
            _wait_for_index(IndexManager(), loaded)
        patch.setattr(Dataset, "destination_name", "postgres")
        with pytest.raises(IndexUnavailableError, match="DuckDB only"):
            IndexManager().get(loaded, LOAD_ID)
    assert not list(folder.glob("*"))


def test_index_runs_no_other_statement(index: Index) -> None:
    for statement in (
        "SELECT * FROM read_text('/etc/hostname')",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "DELETE FROM fts_main_documents.docs",
    ):
        with pytest.raises(duckdb.Error):
            index._connection.execute(statement)


def test_states_and_types_are_those_of_the_tables() -> None:
    assert search_syntax.STATES == STORY_STATES
    assert search_syntax.STORY_TYPES == STORY_TYPES
