select
    project_id,
    number,
    length,
    kind,
    team_strength,
    velocity,
    points,
    accepted_points,
    effective_points,
    start,
    finish,
    _source,
    _date_precision
from {{ source('pivotal_tracker', 'iterations') }}
