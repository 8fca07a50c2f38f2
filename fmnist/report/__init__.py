"""From a store to a report. No TensorFlow, no Ray."""

from fmnist.report.build import build_report
from fmnist.report.markdown import update_sections
from fmnist.report.selection import select_studies
from fmnist.report.terminal import print_results
