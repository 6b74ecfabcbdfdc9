"""A CSV export of a shop, without anything else of its project."""

from __future__ import annotations

from datetime import date, timedelta

from ..support.exports import Row


def shop_export() -> list[Row]:
    """Three months of a shop: weekly iterations, a backlog, an icebox, an epic and releases."""
    rows = [Row(id=7, title="The shop", type="epic", labels="shop", state="")]
    start = date(2015, 11, 2)
    for number in range(40):
        week = start + timedelta(weeks=number // 4)
        is_done = number < 32
        rows.append(
            Row(
                id=1000 + number,
                title=f"Story {number} of the export",
                type="bug" if number % 4 == 3 else "feature",
                labels="shop, design" if number % 2 else "shop",
                iteration=str(number // 4 + 1),
                start=_csv_day(week),
                end=_csv_day(week + timedelta(days=6)),
                estimate="" if number % 4 == 3 else str(number % 4 + 1),
                state="accepted" if is_done else "unstarted",
                created=_csv_day(week - timedelta(days=10)),
                accepted=_csv_day(week + timedelta(days=number % 4)) if is_done else "",
                requested_by="Grace Hopper",
                owners=["Ada Lovelace"],
                comments=[f"Remark {number} (Ada Lovelace - {_csv_day(week)})"],
                tasks=[("Think", "completed")],
            )
        )
    rows += [
        Row(id=2000 + number, title=f"Idea {number}", created="Nov 3, 2015") for number in range(5)
    ]
    return rows


def _csv_day(day: date) -> str:
    return f"{day:%b} {day.day}, {day.year}"
