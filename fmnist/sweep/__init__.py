"""Has Ray compute the runs that are missing: the only room with Ray."""

from fmnist.sweep.options import StudyOptions
from fmnist.sweep.preview import list_studies, preview_study
from fmnist.sweep.search_job import run_search
from fmnist.sweep.study_job import run_study, run_until_decided
