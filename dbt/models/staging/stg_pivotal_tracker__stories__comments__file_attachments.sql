select
    id,
    uploader_id,
    size,
    height,
    width,
    kind,
    filename,
    content_type,
    download_url,
    thumbnailable,
    uploaded,
    created_at,
    comment_id,
    story_id,
    project_id,
    _dlt_list_idx
from {{ source('pivotal_tracker', 'stories__comments__file_attachments') }}
