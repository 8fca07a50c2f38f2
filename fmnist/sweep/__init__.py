"""Has Ray compute the runs that are missing: the only room with Ray."""

from typing import TYPE_CHECKING

from fmnist import lazily
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.preview import list_studies, preview_study
from fmnist.sweep.study_job import run_study

if TYPE_CHECKING:
    from fmnist.sweep.until_decided import run_until_decided
else:
    __getattr__ = lazily(__name__, run_until_decided="until_decided")
