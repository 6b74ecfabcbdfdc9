select
    id,
    days_left,
    kind,
    name,
    plan,
    status,
    over_the_limit,
    created_at,
    updated_at,
    _source,
    _date_precision
from {{ source('pivotal_tracker', 'accounts') }}
