select
    id,
    project_id,
    kind,
    name,
    hidden,
    created_at,
    updated_at,
    _source,
    _date_precision
from {{ source('pivotal_tracker', 'review_types') }}
