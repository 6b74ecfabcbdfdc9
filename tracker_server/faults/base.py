"""What all faults have in common: the requests they affect, and the steps they can change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..messages import Request, Response
from ..paging import Page
from ..workspace import Record


@dataclass(kw_only=True)
class Fault:
    """One way to misbehave, for the requests that meet every condition given.

    The methods `change_*` are called in the order in which a response is made. Each returns what
    it got, unless a subclass overrides it.

    Attributes:
        endpoints: Names such as `stories`, or templates such as `/projects/{id}/stories` for the
            list alone; none for all.
        projects: Ids of the projects that the request is about; none for all requests.
        params: Names of parameters, one of which the request must have; none for all requests.
        where: Any further condition.
        after: So many matching requests to a path are answered correctly first.
        times: So many matching requests to a path fail then; None for all of them.
    """

    endpoints: Collection[str] = ()
    projects: Collection[int] = ()
    params: Collection[str] = ()
    where: Callable[[Request], bool] | None = None
    after: int = 0
    times: int | None = None
    _matched: Counter[str] = field(default_factory=Counter, init=False, repr=False, compare=False)

    changes_data: ClassVar[bool] = False
    """Whether it changes records, so that no response that was made without it can be reused."""

    def select(self, request: Request) -> Sequence[Fault]:
        """Return the faults that affect a request: this one, another one, or none."""
        if not self.matches(request):
            return ()
        earlier = self._matched[request.path]
        self._matched[request.path] += 1
        is_due = earlier >= self.after
        is_over = self.times is not None and earlier >= self.after + self.times
        return (self,) if is_due and not is_over else ()

    def matches(self, request: Request) -> bool:
        """Check the conditions that do not depend on earlier requests."""
        return (
            (not self.endpoints or bool({request.endpoint, request.template} & {*self.endpoints}))
            and (not self.projects or request.project_id in self.projects)
            and (not self.params or bool(request.query.keys() & {*self.params}))
            and (self.where is None or self.where(request))
        )

    def change_rows(self, rows: list[Any]) -> list[Any]:
        """Change a list before it is cut into pages."""
        return rows

    def change_page(self, page: Page) -> Page:
        """Change a page, or what the response says about it."""
        return page

    def change_record(self, record: Record) -> Record:
        """Change a record before it is serialized; the one given must stay as it is."""
        return record

    def change_response(self, response: Response, request: Request) -> Response:
        """Change the finished response."""
        del request
        return response


def select_faults(faults: Sequence[Fault], request: Request) -> list[Fault]:
    """Return the faults that affect a request, in order."""
    return [selected for fault in faults for selected in fault.select(request)]
