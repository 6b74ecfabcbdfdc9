"""A full-text index of the texts of stories, made once per load next to the pipeline.

Loads take no longer and the database stays as it is: the dashboard makes the index in the
background, as a DuckDB file of its own in the pipeline's working directory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from threading import Lock, Thread

import duckdb
from pandas import DataFrame

from .data import Dataset
from .errors import DashboardError, DatabaseLockedError
from .load_files import load_file, new_load_file
from .queries import stories as story_queries

_WORD_SEPARATORS = r"[^\p{L}\p{N}]+"
"""Everything but letters of any script and digits."""

_STEMMER = "porter"
"""An English stemmer. It leaves words of other scripts as they are."""

_FILE_VERSION = 3
"""To be increased with every change to what the file contains."""

_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "512MB",
    "threads": 1,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
}
"""DuckDB spills to disk what does not fit; one thread leaves the other processors to the pages."""

_BATCH_ROWS = 20_000
_KEPT_WORDS = 50
"""For how many words the stories that have them are kept; for a common one, that is a megabyte."""

_PARTITIONS = 32
"""Texts are concatenated for a part of the stories at a time: DuckDB does it in memory."""

_MISSING_EXTENSION = (
    "DuckDB's extension fts is missing for this version of DuckDB "
    '(`pip install "duckdb-extension-fts<2"` installs both)'
)


class IndexUnavailableError(DashboardError):
    """There is no index to search in; the message says why."""


class Index:
    """The texts of the stories of one load. Finds words by their stems."""

    def __init__(self, path: Path) -> None:
        """Open an index file; queries on it can read nothing else.

        Raises:
            IndexUnavailableError: The extension is missing.
            duckdb.Error: The file contains something else, or a later DuckDB wrote it.
        """
        self.path = path
        self._connection = duckdb.connect(str(path), read_only=True, config=_SETTINGS)
        # pages, other orders and further terms of a search ask for the same words again
        self._scores = lru_cache(maxsize=_KEPT_WORDS)(partial(_read_scores, self._connection))
        try:
            self._lock_down()
            self.scores(["probe"])
            self.similar_words("probe", 1)
        except (duckdb.Error, IndexUnavailableError):
            self._connection.close()
            raise

    def _lock_down(self) -> None:
        # connections to one file share a database within a process: it may be locked already
        query = "SELECT current_setting('lock_configuration')"
        if self._connection.execute(query).fetchone() == (False,):
            _load_extension(self._connection)
            self._connection.execute("SET enable_external_access = false")
            self._connection.execute("SET lock_configuration = true")

    def scores(self, words: Sequence[str]) -> DataFrame:
        """Return the stories with all words in some form: `id`, and their BM25 `score`."""
        tokens = self._tokens(words)
        if not tokens:
            # the index would take an empty word for one that some texts have
            return DataFrame({"id": [], "score": []})
        return self._scores(" ".join(tokens))

    def forms(self, words: Sequence[str], texts: Sequence[str]) -> list[str]:
        """Return the words of some texts that are forms of the given words."""
        query = f"""
            SELECT DISTINCT form FROM (
                SELECT unnest(regexp_extract_all(text, '[\\p{{L}}\\p{{M}}\\p{{N}}]+')) AS form
                FROM (SELECT unnest($texts) AS text)
            )
            WHERE stem(lower(strip_accents(form)), '{_STEMMER}') IN (
                SELECT stem(unnest($tokens), '{_STEMMER}')
            )
        """  # noqa: S608 - a constant
        values = {"texts": list(texts), "tokens": self._tokens(words)}
        with self._connection.cursor() as cursor:
            return [form for (form,) in cursor.execute(query, values).fetchall()]

    def knows(self, word: str) -> bool:
        """Return whether any story has a form of a word."""
        return bool(len(self.scores([word])))

    def similar_words(self, word: str, limit: int) -> list[str]:
        """Return the words of names, descriptions and labels that are most like a word."""
        query = """
            SELECT word FROM vocabulary
            WHERE abs(length(word) - length($word)) <= 2
                AND damerau_levenshtein(word, $word)
                    <= CASE WHEN length($word) < 5 THEN 1 ELSE 2 END
            ORDER BY damerau_levenshtein(word, $word), stories DESC, word LIMIT $limit
        """
        with self._connection.cursor() as cursor:
            found = cursor.execute(query, {"word": word.lower(), "limit": limit}).fetchall()
        return [similar for (similar,) in found]

    def _tokens(self, words: Sequence[str]) -> list[str]:
        """Return words as the index stores them: no accents, split where there is no letter."""
        query = "SELECT unnest(fts_main_documents.tokenize($words))"
        with self._connection.cursor() as cursor:
            found = cursor.execute(query, {"words": " ".join(words)}).fetchall()
        return [token for (token,) in found if token]


def _read_scores(connection: duckdb.DuckDBPyConnection, words: str) -> DataFrame:
    # rounded: the order in which scores are added up must not separate equal ones
    query = """
        SELECT id, round(score, 6) AS score FROM (
            SELECT name AS id,
                fts_main_documents.match_bm25(name, $words, conjunctive := 1) AS score
            FROM fts_main_documents.docs
        ) WHERE score IS NOT NULL
    """
    with connection.cursor() as cursor:
        return cursor.execute(query, {"words": words}).df()


class IndexManager:
    """Opens the index of what is shown, and makes it in the background where there is none."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._index: Index | None = None
        self._builder: Thread | None = None
        self._problems: dict[Path, str] = {}

    def get(self, dataset: Dataset, load_id: str) -> Index:
        """Return the index of a load.

        Raises:
            IndexUnavailableError: It is not ready, or cannot be made.
        """
        if dataset.destination_name != "duckdb":
            raise IndexUnavailableError("a full-text index exists for DuckDB only")
        path = load_file(dataset, "full_text", load_id, _FILE_VERSION)
        with self._lock:
            if self._index is None or self._index.path != path:
                self._index = self._open(path)
            if self._index is not None:
                return self._index
            if path in self._problems:
                raise IndexUnavailableError(self._problems[path])
            if self._builder is None or not self._builder.is_alive():
                self._builder = Thread(target=self._build, args=(dataset, path), daemon=True)
                self._builder.start()
        raise IndexUnavailableError("the full-text index is being made")

    def _open(self, path: Path) -> Index | None:
        """Return an index that this or another dashboard has made, if it is usable."""
        if not path.is_file():
            return None
        with suppress(duckdb.Error):
            return Index(path)
        return None

    def _build(self, dataset: Dataset, path: Path) -> None:
        try:
            build_index(dataset, path)
            with self._lock:
                # a page may have opened it already
                if self._index is None or self._index.path != path:
                    self._index = Index(path)
        except DatabaseLockedError:
            pass  # the next page tries again
        except (DashboardError, duckdb.Error, OSError) as error:
            self._problems[path] = f"the full-text index could not be made: {error}"


def build_index(dataset: Dataset, path: Path) -> None:
    """Make an index of the texts of all stories and remove the indexes of earlier loads.

    Args:
        dataset: Where the texts are.
        path: The file, which appears when it is complete.

    Raises:
        DashboardError: The texts cannot be read, or the extension is missing.
        OSError: The file cannot be written.
    """
    with new_load_file(path) as unfinished, _connect(unfinished) as connection:
        _copy_texts(dataset, connection)
        _make_vocabulary(connection)
        _make_documents(connection)
        connection.execute(
            "PRAGMA create_fts_index('documents', 'story_id', 'texts', "
            f"stemmer = '{_STEMMER}', stopwords = 'none', ignore = '{_WORD_SEPARATORS}', "
            "strip_accents = 1, lower = 1)"
        )
        connection.execute("DROP TABLE documents")


@contextmanager
def _connect(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(path), config=_SETTINGS) as connection:
        _load_extension(connection)
        yield connection


def _copy_texts(dataset: Dataset, connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("CREATE TEMP TABLE texts (story_id BIGINT, weight INTEGER, text VARCHAR)")
    with dataset.connect() as source:
        query = source(story_queries.weighted_texts(), query_dialect="duckdb")
        for batch in query.iter_arrow(_BATCH_ROWS):
            connection.register("batch", batch)
            connection.execute("INSERT INTO texts SELECT story_id, weight, text FROM batch")


def _make_vocabulary(connection: duckdb.DuckDBPyConnection) -> None:
    """Store the words to suggest for one that no story has."""
    # to match [\p{L}\p{N}]{3,40} takes DuckDB 50 times as long
    connection.execute(
        f"""
        CREATE TABLE vocabulary AS
        SELECT word, count(DISTINCT story_id) AS stories FROM (
            SELECT story_id, unnest(string_split_regex(lower(text), '{_WORD_SEPARATORS}')) AS word
            FROM texts WHERE weight >= 2
        ) WHERE length(word) BETWEEN 3 AND 40 GROUP BY word
        """  # noqa: S608 - a constant
    )


def _make_documents(connection: duckdb.DuckDBPyConnection) -> None:
    """Store one document per story, in which each text is repeated according to its weight."""
    connection.execute("CREATE TABLE documents (story_id BIGINT, texts VARCHAR)")
    for partition in range(_PARTITIONS):
        connection.execute(
            f"""
            INSERT INTO documents
            SELECT story_id, string_agg(repeat(text || ' ', weight), '')
            FROM texts WHERE hash(story_id) % {_PARTITIONS} = {partition} GROUP BY story_id
            """  # noqa: S608 - numbers
        )
    connection.execute("DROP TABLE texts")


def _load_extension(connection: duckdb.DuckDBPyConnection) -> None:
    """Load `fts` from the package that contains it, or as installed in DuckDB.

    Nothing is downloaded, and DuckDB checks the signature of either.
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
        raise IndexUnavailableError(_MISSING_EXTENSION) from error
