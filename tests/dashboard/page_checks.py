"""Each page, compared with queries of the tables that know nothing of views or the dashboard."""

# ruff: noqa: S608 - the queries are ours

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import date, timedelta

from playwright.sync_api import expect

from ..support.browser import BrowserSession, Dashboard

PAGES = ("Project", "Iteration", "Board", "Stories", "Flow", "Epics and releases", "People")

WIDTHS = (390, 768, 1024, 1440)
"""Of a phone, a tablet, a small and a usual window, in pixels."""

_IN_PROGRESS = "('started', 'finished', 'delivered', 'rejected')"


@dataclass
class PageChecks:
    """The pages of one project in a browser, and the tables behind them.

    Attributes:
        session: The browser.
        dashboard: The dashboard, with the database.
        project: The id of the project.
        has_transitions: Whether it is known when stories changed their state; not for a CSV.
    """

    session: BrowserSession
    dashboard: Dashboard
    project: int
    has_transitions: bool = True
    _opened: int = 0

    def all_pages(self) -> None:
        """Check the pages that answer their users' questions, one after the other."""
        self.project_page()
        self.flow_page()
        self.progress_page()
        self.people_page()
        self.story_page()
        self.inspect_page()

    def project_page(self) -> None:
        """What was finished in three months, compared with those before; cycle or lead time."""
        last = self._last_day()
        first, before = last - timedelta(days=13 * 7 - 1), last - timedelta(days=2 * 13 * 7 - 1)
        (now, points, hours), (then, *_) = (
            self._accepted(first, last),
            self._accepted(before, first - timedelta(days=1)),
        )
        self._open("")
        assert self.session.metric("Stories accepted") == f"{now:,}"
        figure = self.session.figure("Stories accepted")
        change = f"{now - then:+,} vs. before" if now != then else "same as before"
        expect(figure).to_contain_text(change)
        shown = f"{points:,.1f}".removesuffix(".0")
        expect(self.session.page.get_by_text(re.compile(f"^{shown} points"))).to_be_visible()
        kind = "Cycle" if self.has_transitions else "Lead"
        assert self.session.metric(f"{kind} time") == f"{hours / 24:.1f} days"
        assert self.session.metric("Velocity") == f"{self._velocity()} points"
        self._assert_next_release()

    def _assert_next_release(self) -> None:
        releases = self.dashboard.query(
            "SELECT r.name, CAST(r.deadline AS DATE) FROM releases r WHERE r.accepted_at IS NULL "
            f"AND r.project_id = {self.project} ORDER BY r.deadline NULLS LAST LIMIT 1"
        )
        if not releases:
            assert self.session.metric("Next release") == "none planned"
            return
        ((name, deadline),) = releases
        facts = self.session.page.locator("p", has_text=str(name)).first
        expected = re.search(r"expected (\d+ \w+ \d+)", facts.inner_text())
        if deadline is None or expected is None:
            return
        assert isinstance(deadline, date)
        (late,) = self._days_between(deadline, [expected[1]])
        said = f"{late} day{'s' * (late != 1)} late" if late > 0 else "on time"
        assert self.session.metric("Next release") == said

    def flow_page(self) -> None:
        """Stories by state on the last day, each story's duration, time in state, open work."""
        self._open("flow?period=all")
        self._assert_states()
        kind = "cycle" if self.has_transitions else "lead"
        rows = self._data_of(f"{kind.title()} time of each story")
        assert {(int(row["id"]), round(float(row["days"]), 6)) for row in rows} == {
            (number, round(float(str(days)), 6)) for number, days in self._durations()
        }
        if self.has_transitions:
            shown = {
                row["state"]: (int(row["stories"]), round(float(row["median_days"]), 6))
                for row in self._data_of("Time in state")
            }
            assert shown == self._times_in_states()
        open_stories = self._ids("current_state <> 'accepted' AND story_type <> 'release'")
        listed = self.session.page.locator("summary", has_text=f"{len(open_stories)} open stories")
        expect(listed).to_be_visible()
        in_progress = self._ids(f"current_state IN {_IN_PROGRESS}")
        if in_progress:
            rows = self._data_of("Age of work in progress")
            assert {int(row["id"]) for row in rows} == in_progress

    def _assert_states(self) -> None:
        counts = dict(
            self.dashboard.query(
                "SELECT current_state, count(*) FROM stories WHERE story_type <> 'release' "
                f"AND project_id = {self.project} GROUP BY 1"
            )
        )
        last = self._data_of("Cumulative flow")[0]
        last.pop("date")
        if not self.has_transitions:
            accepted = counts.pop("accepted")
            counts = {"accepted": accepted, "open": sum(int(str(n)) for n in counts.values())}
        assert {state: float(n) for state, n in last.items() if float(n)} == counts

    def progress_page(self) -> None:
        """Each epic and release with its accepted and remaining stories and points."""
        self._open("progress")
        tables = self.session.tables
        for details in self.session.page.locator("summary", has_text="completed").all():
            details.click()
            self.session.wait_idle()
        shown = {}
        for row in tables.locator("tbody tr").all():
            cells = row.locator("td").all_inner_texts()
            shown[cells[0]] = [int(cell) for cell in re.findall(r"[\d]+", cells[2])]
        expected = self._progress()
        assert shown == {name: [done, total, total - done] for name, done, total in expected}

    def _progress(self) -> list[tuple[str, int, int]]:
        """Return every epic and release: its name, its accepted stories, and all of them."""
        held = self.dashboard.query(
            f"""
            SELECT any_value(e.name), count(DISTINCT s.id) FILTER (s.current_state = 'accepted'),
                count(DISTINCT s.id)
            FROM epics e
            LEFT JOIN stories__labels l ON l.name = e.label__name AND l.project_id = e.project_id
            LEFT JOIN stories s ON s.id = l.story_id
            WHERE e.project_id = {self.project} GROUP BY e.id
            UNION ALL
            SELECT any_value(r.name), count(s.id) FILTER (s.current_state = 'accepted'), count(s.id)
            FROM releases r LEFT JOIN releases__story_ids i ON i.release_id = r.id
            LEFT JOIN stories s ON s.id = i.value
            WHERE r.project_id = {self.project} GROUP BY r.id
            """
        )
        return [(str(name), int(str(done)), int(str(total))) for name, done, total in held]

    def people_page(self) -> None:
        """What each person accepted, commented and reviewed, and what they have to do."""
        self._open("people?period=all")
        rows = [
            [cell.replace(",", "") for cell in row.locator("td").all_inner_texts()]
            for row in self.session.tables.last.locator("tbody tr").all()
        ]
        assert [[name, *map(float, counts)] for name, *counts in rows] == self._open_work()
        columns = ("stories_accepted", "points_accepted", "comments", "reviews")
        assert {
            row["person"]: [float(row[name]) for name in columns]
            for row in self._data_of("Accepted stories by owner")
        } == self._finished_work()

    def _finished_work(self) -> dict[str, list[float]]:
        counted = self.dashboard.query(
            f"""
            WITH did AS (
                SELECT o.value AS person, 1 AS stories, CASE WHEN s.story_type = 'feature'
                    OR coalesce(j.bugs_and_chores_are_estimatable, s._source IS NOT NULL)
                    THEN s.estimate END AS points, 0 AS comments, 0 AS reviews
                FROM stories s JOIN stories__owner_ids o ON o.story_id = s.id
                JOIN projects j ON j.id = s.project_id
                WHERE s.project_id = {self.project} AND s.current_state = 'accepted'
                    AND s.story_type <> 'release' AND s.accepted_at NOTNULL
                UNION ALL
                SELECT person_id, 0, 0, 1, 0 FROM stories__comments
                WHERE project_id = {self.project} AND created_at NOTNULL
                UNION ALL
                SELECT person_id, 0, 0, 1, 0 FROM epics__comments
                WHERE project_id = {self.project} AND created_at NOTNULL
                UNION ALL
                SELECT reviewer_id, 0, 0, 0, 1 FROM stories__reviews
                WHERE project_id = {self.project}
            )
            SELECT coalesce(p.name, CAST(p.id AS VARCHAR)) AS name, sum(stories),
                coalesce(sum(points), 0), sum(comments), sum(reviews)
            FROM did JOIN people p ON p.id = person GROUP BY ALL HAVING sum(stories) > 0
            """
        )
        return {str(name): [float(str(count)) for count in counts] for name, *counts in counted}

    def _open_work(self) -> list[list[object]]:
        counted = self.dashboard.query(
            "SELECT coalesce(p.name, CAST(p.id AS VARCHAR)) AS name, "
            "count(*) FILTER (s.current_state IN ('started', 'finished', "
            "'delivered')), count(*) FILTER (s.current_state = 'rejected'), "
            "count(*) FILTER (s.current_state = 'unstarted'), coalesce(sum(s.estimate), 0) "
            "FROM stories s JOIN stories__owner_ids o ON o.story_id = s.id "
            f"JOIN people p ON p.id = o.value WHERE s.project_id = {self.project} "
            "AND s.current_state NOT IN ('accepted', 'unscheduled') GROUP BY ALL ORDER BY name"
        )
        return [[name, *(float(str(count)) for count in counts)] for name, *counts in counted]

    def _missing_texts(self, texts: list[tuple[object, ...]]) -> list[str]:
        shown = _words(self.session.text())
        return [str(text) for (text,) in texts if _words(str(text)) not in shown]

    def story_page(self) -> None:
        """The story with the most comments: its facts, texts, people and iteration."""
        ((story, name, state),) = self.dashboard.query(
            "SELECT s.id, s.name, s.current_state FROM stories s JOIN stories__comments c "
            f"ON c.story_id = s.id JOIN iterations__story_ids i ON i.value = s.id "
            f"WHERE s.project_id = {self.project} GROUP BY ALL ORDER BY count(*) DESC, s.id LIMIT 1"
        )
        texts = self.dashboard.query(
            f"SELECT text FROM stories__comments WHERE story_id = {story} UNION ALL "
            f"SELECT description FROM stories__tasks WHERE story_id = {story} UNION ALL "
            "SELECT coalesce(p.name, CAST(p.id AS VARCHAR)) "
            "FROM stories__owner_ids JOIN people p ON p.id = value "
            f"WHERE story_id = {story} UNION ALL "
            f"SELECT name FROM stories__labels WHERE story_id = {story} UNION ALL "
            "SELECT 'Iteration ' || iteration_number FROM iterations__story_ids "
            f"WHERE value = {story}"
        )
        self.session.open(f"{self.dashboard.url}/story?id={story}")
        expect(self.session.page.get_by_role("heading", level=1)).to_contain_text(str(name))
        expect(self.session.page.locator("dl.facts")).to_contain_text(f"State{state}")
        assert texts
        deadline = time.monotonic() + 20
        # comments are drawn after the facts
        while missing := self._missing_texts(texts):
            assert time.monotonic() < deadline, missing
            time.sleep(0.2)

    def inspect_page(self) -> None:
        """How many rows each table has."""
        self.session.open(f"{self.dashboard.url}/inspect")
        counts = {row["table_name"]: int(row["rows"]) for row in self.session.table("CSV")}
        assert {"stories", "people", "_dlt_loads"} <= set(counts)
        statements = [f"SELECT '{name}', count(*) FROM {name}" for name in counts]
        assert counts == dict(self.dashboard.query(" UNION ALL ".join(statements)))

    # what the tables say

    def _last_day(self) -> date:
        ((day,),) = self.dashboard.query(
            f"SELECT as_of_date FROM project_as_of WHERE project_id = {self.project}"
        )
        assert isinstance(day, date)
        return day

    @property
    def _accepted_stories(self) -> str:
        """Accepted stories with the day, points, and the hours that they took."""
        begin = (
            "(SELECT min(occurred_at) FROM stories__transitions t "
            "WHERE t.story_id = s.id AND t.state = 'started')"
            if self.has_transitions
            else "s.created_at"
        )
        return f"""
            SELECT s.id, (epoch(s.accepted_at) - epoch({begin})) / 3600 AS hours,
                CAST(s.accepted_at AT TIME ZONE coalesce(p.time_zone__olson_name, 'UTC') AS DATE)
                    AS day,
                CASE WHEN s.story_type = 'feature'
                    OR coalesce(p.bugs_and_chores_are_estimatable, s._source IS NOT NULL)
                    THEN s.estimate END AS points
            FROM stories s JOIN projects p ON p.id = s.project_id
            WHERE p.id = {self.project} AND s.story_type <> 'release' AND s.accepted_at NOTNULL
        """

    def _accepted(self, first: date, last: date) -> tuple[int, float, float]:
        """Return the stories and points accepted in some days, and their median hours."""
        ((count, points, hours),) = self.dashboard.query(
            f"SELECT count(*), coalesce(sum(points), 0), coalesce(median(hours), 0) FROM "
            f"({self._accepted_stories}) WHERE day BETWEEN DATE '{first}' AND DATE '{last}'"
        )
        return int(str(count)), float(str(points)), float(str(hours))

    def _durations(self) -> list[tuple[object, ...]]:
        return self.dashboard.query(
            f"SELECT id, hours / 24 FROM ({self._accepted_stories}) WHERE hours NOTNULL"
        )

    def _times_in_states(self) -> dict[str, tuple[int, float]]:
        found = self.dashboard.query(
            f"""
            WITH visit AS (
                SELECT story_id, state, epoch(lead(occurred_at) OVER (
                    PARTITION BY story_id ORDER BY occurred_at, project_version
                )) - epoch(occurred_at) AS seconds FROM stories__transitions
            ), total AS (
                SELECT story_id, state, sum(seconds) / 86400 AS days
                FROM visit JOIN ({self._accepted_stories}) a ON a.id = story_id
                WHERE state <> 'accepted' AND seconds NOTNULL GROUP BY ALL
            )
            SELECT state, count(*), median(days) FROM total GROUP BY state
            """
        )
        return {str(s): (int(str(n)), round(float(str(days)), 6)) for s, n, days in found}

    def _velocity(self) -> int:
        """Return what Tracker says, or the mean of the last three iterations of a CSV."""
        ((given,),) = self.dashboard.query(
            f"SELECT current_velocity FROM projects WHERE id = {self.project}"
        )
        if given is not None:
            return int(str(given))
        return self.dashboard.number(
            "SELECT floor(avg(points)) FROM (SELECT sum(s.estimate) AS points FROM stories s "
            "JOIN iterations__story_ids i ON i.value = s.id WHERE s.current_state = 'accepted' "
            f"AND s.project_id = {self.project} GROUP BY i.iteration_number "
            "ORDER BY i.iteration_number DESC LIMIT 3)"
        )

    def _ids(self, where: str) -> set[int]:
        found = self.dashboard.query(
            f"SELECT id FROM stories WHERE project_id = {self.project} AND {where}"
        )
        return {int(str(number)) for (number,) in found}

    def _days_between(self, first: date, others: list[str]) -> list[int]:
        """Return the days from one day to others, which are written as on the pages."""
        return [
            self.dashboard.number(
                f"SELECT date_diff('day', DATE '{first}', CAST(strptime('{other}', '%-d %b %Y') "
                "AS DATE))"
            )
            for other in others
        ]

    # the browser

    def _open(self, path: str) -> None:
        separator = "&" if "?" in path else "?"
        address = f"{self.dashboard.url}/{path}{separator}project={self.project}"
        self._opened = 0
        self.session.open(address)

    def _data_of(self, title: str) -> list[dict[str, str]]:
        """Return the rows behind a chart; a page draws its charts from top to bottom."""
        self.session.open_data_of(title)
        self._opened += 1
        return self.session.table("CSV", self._opened - 1)


def paths_of_all_pages(dashboard: Dashboard) -> tuple[str, ...]:
    """Return the address of each page, with the story that has most."""
    ((story,),) = dashboard.query(
        "SELECT story_id FROM stories__comments c JOIN stories__tasks t USING (story_id) "
        "LEFT JOIN stories__reviews r USING (story_id) GROUP BY 1 "
        "ORDER BY count(DISTINCT r.id) > 0 DESC, count(*) DESC, 1 LIMIT 1"
    )
    paths = ("", "?project=all", "iteration", "board?panel=Current&panel=Done&panel=Epics")
    paths += ("stories?q=customer+OR+export", f"story?id={story}")
    return (*paths, "flow", "progress", "people", "inspect")


def _words(text: str) -> str:
    """Return the words of a text, however it is laid out."""
    return " ".join(re.findall(r"\w+", text))
