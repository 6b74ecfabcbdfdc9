"""DuckDB's full-text index of the texts of stories: made once a load, beside the pipeline.

No load pays for it and the database stays as it is: the index is made in the background when it is
first asked for, into a DuckDB file of its own in the pipeline's working directory.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from shutil import rmtree
from threading import Lock, Thread
from urllib.parse import quote

import duckdb
from pandas import DataFrame

from . import queries
from .data import Loaded
from .errors import BusyError, DashboardError

_BETWEEN_WORDS = r"[^\p{L}\p{N}]+"
"""What is no part of a word: neither a letter of any script nor a digit."""

_STEMMER = "porter"
"""Of English; it leaves the words of other scripts as they are."""

_LAYOUT = 1
"""Counted up with every change to what the file holds."""

_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "512MB",
    "threads": 1,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
}
"""What does not fit is put on disk; one thread leaves the others to the pages."""

_ROWS_AT_ONCE = 20_000
_PARTS = 32
"""Texts are put together for so many parts of the stories, one by one: DuckDB does so in memory."""

_ABANDONED = 3600.0
"""Seconds after which a file that is being made belongs to a process that was killed."""

_MISSING = (
    "DuckDB's extension fts is missing for this version of DuckDB "
    '(`pip install "duckdb-extension-fts<2"` brings both)'
)


class NotIndexedError(DashboardError):
    """There is no index to search in; its text says why."""


class Index:
    """The texts of one load's stories, to find words in by their stems."""

    def __init__(self, path: Path) -> None:
        """Opens the file; what it answers reads nothing else.

        Raises:
            NotIndexedError: The extension is missing.
            duckdb.Error: It holds something else, or was written by a later DuckDB.
        """
        self.path = path
        self._connection = duckdb.connect(str(path), read_only=True, config=_SETTINGS)
        try:
            self._lock_down()
            self.scores(["probe"])
        except (duckdb.Error, NotIndexedError):
            self._connection.close()
            raise

    def _lock_down(self) -> None:
        # in one process, all who open a file share a database: another Index may have done it
        asked = "SELECT current_setting('lock_configuration')"
        if self._connection.execute(asked).fetchone() == (False,):
            _load_extension(self._connection)
            self._connection.execute("SET enable_external_access = false")
            self._connection.execute("SET lock_configuration = true")

    def scores(self, words: Sequence[str]) -> DataFrame:
        """The stories that have every word in some form: `id`, `score` (BM25, the more the better).

        Words in which are neither letters nor digits are not asked for; none but such find nothing.
        """
        # rounded: the order of adding up must not part equals
        query = """
            SELECT id, round(score, 6) AS score FROM (
                SELECT name AS id,
                    fts_main_documents.match_bm25(name, $words, conjunctive := 1) AS score
                FROM fts_main_documents.docs
            ) WHERE score IS NOT NULL
        """
        parts = self._parts(words)
        if not parts:
            # the index takes nothing for a word that some texts have
            return DataFrame({"id": [], "score": []})
        with self._connection.cursor() as cursor:
            return cursor.execute(query, {"words": " ".join(parts)}).df()

    def forms(self, words: Sequence[str], texts: Sequence[str]) -> list[str]:
        """The words of texts, as they are written there, that are forms of the ones given."""
        query = f"""
            SELECT DISTINCT form FROM (
                SELECT unnest(regexp_extract_all(text, '[\\p{{L}}\\p{{M}}\\p{{N}}]+')) AS form
                FROM (SELECT unnest($texts) AS text)
            )
            WHERE stem(lower(strip_accents(form)), '{_STEMMER}') IN (
                SELECT stem(unnest($parts), '{_STEMMER}')
            )
        """  # noqa: S608 - a constant
        asked = {"texts": list(texts), "parts": self._parts(words)}
        with self._connection.cursor() as cursor:
            return [form for (form,) in cursor.execute(query, asked).fetchall()]

    def _parts(self, words: Sequence[str]) -> list[str]:
        """Words as the index knows them: without accents, parted where there is no letter."""
        query = "SELECT unnest(fts_main_documents.tokenize($words))"
        with self._connection.cursor() as cursor:
            found = cursor.execute(query, {"words": " ".join(words)}).fetchall()
        return [part for (part,) in found if part]


class Indexes:
    """Gives the index of what is shown, and has it made in the background where there is none."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._index: Index | None = None
        self._making: Thread | None = None
        self._problems: dict[Path, str] = {}

    def of(self, loaded: Loaded, load_id: str) -> Index:
        """The index of what a load left behind.

        Raises:
            NotIndexedError: It is not there yet, or cannot be.
        """
        if loaded.destination_name != "duckdb":
            raise NotIndexedError("there is a full-text index for DuckDB alone")
        path = _path(loaded, load_id)
        with self._lock:
            if self._index is None or self._index.path != path:
                self._index = self._found(path)
            if self._index is not None:
                return self._index
            if path in self._problems:
                raise NotIndexedError(self._problems[path])
            if self._making is None or not self._making.is_alive():
                self._making = Thread(target=self._make, args=(loaded, path), daemon=True)
                self._making.start()
        raise NotIndexedError("the full-text index is being made")

    def _found(self, path: Path) -> Index | None:
        """What an earlier dashboard has made, or this one; nothing where that is of no use."""
        if not path.is_file():
            return None
        with suppress(duckdb.Error):
            return Index(path)
        return None

    def _make(self, loaded: Loaded, path: Path) -> None:
        try:
            make(loaded, path)
            with self._lock:
                # a page may have found it already
                if self._index is None or self._index.path != path:
                    self._index = Index(path)
        except BusyError:
            pass  # the next page asks again
        except (DashboardError, duckdb.Error, OSError) as error:
            self._problems[path] = f"the full-text index could not be made: {error}"


def _path(loaded: Loaded, load_id: str) -> Path:
    name = f"{quote(load_id, safe='')}-{_LAYOUT}.duckdb"
    return Path(loaded.pipeline.working_dir) / "full_text" / name


def make(loaded: Loaded, path: Path) -> None:
    """Makes an index of the texts of all stories, and removes those of earlier loads.

    Args:
        loaded: Where the texts are.
        path: The index's file, which appears when it is whole.

    Raises:
        DashboardError: The texts cannot be read, or the extension is missing.
        OSError: The file cannot be written.
    """
    path.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, ignore_cleanup_errors=True) as folder:
        unfinished = Path(folder) / "index.duckdb"
        with _connected(unfinished) as connection:
            _read(loaded, connection)
            connection.execute(
                "PRAGMA create_fts_index('documents', 'story_id', 'texts', "
                f"stemmer = '{_STEMMER}', stopwords = 'none', ignore = '{_BETWEEN_WORDS}', "
                "strip_accents = 1, lower = 1)"
            )
            connection.execute("DROP TABLE documents")
        unfinished.replace(path)
    _tidy(path)


@contextmanager
def _connected(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(path), config=_SETTINGS) as connection:
        _load_extension(connection)
        yield connection


def _read(loaded: Loaded, connection: duckdb.DuckDBPyConnection) -> None:
    """One document a story, in which a text stands as many times as it weighs."""
    connection.execute("CREATE TEMP TABLE texts (story_id BIGINT, weight INTEGER, text VARCHAR)")
    with loaded.reading() as dataset:
        asked = dataset(queries.weighted_texts().sql("duckdb"), query_dialect="duckdb")
        for chunk in asked.iter_arrow(_ROWS_AT_ONCE):
            connection.register("chunk", chunk)
            connection.execute("INSERT INTO texts SELECT story_id, weight, text FROM chunk")
    connection.execute("CREATE TABLE documents (story_id BIGINT, texts VARCHAR)")
    for part in range(_PARTS):
        connection.execute(
            f"""
            INSERT INTO documents
            SELECT story_id, string_agg(repeat(text || ' ', weight), '')
            FROM texts WHERE hash(story_id) % {_PARTS} = {part} GROUP BY story_id
            """  # noqa: S608 - numbers
        )
    connection.execute("DROP TABLE texts")


def _load_extension(connection: duckdb.DuckDBPyConnection) -> None:
    """Loads `fts`: of the package that brings it, or what a person has installed.

    Nothing is fetched, and DuckDB checks the signature of either.
    """
    spec = find_spec("duckdb_extension_fts")
    folders = spec.submodule_search_locations if spec else None
    files = [
        Path(folder) / "extensions" / f"v{duckdb.__version__}" / "fts.duckdb_extension"
        for folder in folders or ()
    ]
    name = next((str(file).replace("'", "''") for file in files if file.is_file()), None)
    try:
        connection.execute(f"LOAD '{name}'" if name else "LOAD fts")
    except duckdb.Error as error:
        raise NotIndexedError(_MISSING) from error


def _tidy(path: Path) -> None:
    """Removes the indexes of earlier loads, and what was left unfinished."""
    for other in path.parent.iterdir():
        # another dashboard may remove it too, or have it open
        with suppress(OSError):
            if other.is_dir() and other.stat().st_mtime < time.time() - _ABANDONED:
                rmtree(other)
            elif other.is_file() and other != path:
                other.unlink()
