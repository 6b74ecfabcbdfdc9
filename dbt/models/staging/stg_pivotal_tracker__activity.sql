select
    guid,
    kind,
    message,
    highlight,
    project__kind,
    project__name,
    performed_by__kind,
    performed_by__name,
    performed_by__initials,
    project_id,
    project_version,
    project__id,
    performed_by__id,
    occurred_at,
    _source,
    _date_precision
from {{ source('pivotal_tracker', 'activity') }}
