select
    id,
    person_id,
    kind,
    name,
    _source,
    _date_precision
from {{ source('pivotal_tracker', 'workspaces') }}
