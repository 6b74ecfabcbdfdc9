{{ config(enabled=var('pivotal_tracker_has_files', false)) }}
select
    id,
    project_id,
    story_id,
    epic_id,
    comment_id,
    size,
    filename,
    content_type,
    path,
    sha256,
    problem,
    _source
from {{ source('pivotal_tracker', 'attachment_files') }}
