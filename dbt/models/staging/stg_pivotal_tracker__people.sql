select
    id,
    kind,
    name,
    email,
    initials,
    username,
    same_as_id,
    _source,
    _date_precision
from {{ source('pivotal_tracker', 'people') }}
