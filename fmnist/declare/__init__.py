"""What can be asked for: architectures, hyperparameters, metrics, studies, and the identity of a run."""

from fmnist.declare.architectures import ARCHITECTURES, architecture, build_model, find_architecture, structure_of
from fmnist.declare.checks import number, text, whole
from fmnist.declare.hyperparameters import Hyperparameters
from fmnist.declare.identity import Seeds, fingerprint, id_of_run, seeds_of_repeat
from fmnist.declare.metrics import DEFAULT_MARGINS, METRICS, OVERVIEW_COSTS, Metric
from fmnist.declare.search import SEARCH_METRIC, Budget, Pruning, Sampler, Search, Strategy, Track
from fmnist.declare.space import Choice, Given, Parameter, Range, Space, Values
from fmnist.declare.study import MOST_REPEATS, PLACEMENTS, Configuration, Placement, RunSpec, Study, configure
from fmnist.declare.tuning import Tuning
