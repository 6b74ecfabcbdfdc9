"""Every way in which the server can misbehave: the faults.

Put faults into `Behaviour.faults`, at any time, or give them to `python -m tracker_server` as
`--fault`. Several can affect the same response: they are applied in the order given, those of lists
first, then those of records, then those of responses.

    server.behaviour.faults = [
        Status(403, endpoints={"labels"}, projects={99}),
        EmptyList(endpoints={"/projects/{id}/stories"}, times=1),
        SetAttribute("comments.0.id", "abc", record_ids={555}),
    ]

    python -m tracker_server --fault status:status=403,endpoints=labels,projects=99

Every fault takes the conditions of `Fault`: `endpoints`, `projects`, `params`, `where`, and `after`
and `times`, which count the requests to each path. Without conditions it affects everything,
file downloads (`file_attachments`) included.

| what goes wrong | fault |
|---|---|
| any status for an endpoint, a project or everything | `Status(403)`, `Status(404, code="")`, … |
| 504 for pages that are too large | `LimitTooHigh(max_limit=100)` |
| 429, with or without `Retry-After` | `TooManyRequests(retry_after=86400)` |
| a redirect, with or without a location | `Redirect()` |
| the token in an error | `EchoToken()` |
| `200 []` once, or for ever | `EmptyList(times=1)`, `EmptyList()` |
| rows missing from a list, a project from the list of projects | `MissingRows(share=0.6)`, \
`MissingRows(ids={99}, endpoints={"projects"})` |
| later pages shorter than the first | `ShortLaterPages(limit=2)` |
| an empty page in the middle | `EmptyPage(after=1)` |
| a total that is null, absurd, too large, or absent | `WrongTotal(None)`, `WrongTotal(10**19)`, \
`InflatedTotal()`, `NoTotal()` |
| values of the wrong type, also in nested records | `SetAttribute("id", "abc")`, \
`SetAttribute("transitions.*.project_version", "x")` |
| names that collide | `SetAttribute("ID", 5)`, `SetAttribute("projectId", 77)` |
| deep nesting, long numbers, invalid UTF-8 | `DeepValue(depth=10_000)`, `LongNumber()`, \
`InvalidUtf8()` |
| thousands of new attributes | `ExtraAttributes(count=3000)` |
| a body that is not JSON, half of it, HTML, or begins with a byte order mark | `Body(b"…")`, \
`HalfJson()`, `HtmlPage()`, `ByteOrderMark()` |
| a body that is too large | `GzipBomb(size=1 << 30)`, `LargeBody()` |
| a body that arrives slowly, in part, or never | `SlowBody()`, `TruncatedBody()`, `Stall()`, \
`ResetConnection()` |
| all that, at random | `RandomFaults(rate=0.2)` |

What a correct server may lack or forbid, such as the activity feed, is in `Behaviour`.
"""

from __future__ import annotations

from .base import Fault, select_faults
from .chance import TRANSIENT_FAULTS, RandomFaults
from .lists import (
    EmptyList,
    EmptyPage,
    InflatedTotal,
    MissingRows,
    NoTotal,
    ShortLaterPages,
    WrongTotal,
)
from .records import DeepValue, ExtraAttributes, InvalidUtf8, LongNumber, SetAttribute
from .responses import (
    Body,
    ByteOrderMark,
    EchoToken,
    GzipBomb,
    HalfJson,
    HtmlPage,
    LargeBody,
    LimitTooHigh,
    Redirect,
    ResetConnection,
    SlowBody,
    Stall,
    Status,
    TooManyRequests,
    TruncatedBody,
)

__all__ = [
    "TRANSIENT_FAULTS",
    "Body",
    "ByteOrderMark",
    "DeepValue",
    "EchoToken",
    "EmptyList",
    "EmptyPage",
    "ExtraAttributes",
    "Fault",
    "GzipBomb",
    "HalfJson",
    "HtmlPage",
    "InflatedTotal",
    "InvalidUtf8",
    "LargeBody",
    "LimitTooHigh",
    "LongNumber",
    "MissingRows",
    "NoTotal",
    "RandomFaults",
    "Redirect",
    "ResetConnection",
    "SetAttribute",
    "ShortLaterPages",
    "SlowBody",
    "Stall",
    "Status",
    "TooManyRequests",
    "TruncatedBody",
    "WrongTotal",
    "select_faults",
]
