"""Numbers and flags: the statistical comparison of runs. No TensorFlow, no Ray."""

from fmnist.compare.calibration import CalibrationBins, calibration_bins
from fmnist.compare.claim_evaluation import Estimate, Reading, Region, layered_estimate, paired_estimate, read_family
from fmnist.compare.comparable import hardware_of, select_comparable
from fmnist.compare.comparison import PairComparison, compare_pairs
from fmnist.compare.intervals import FAMILY_ERROR, SAME, Array, Interval, Summary, finite, summarize, wilson_interval
from fmnist.compare.paired_tests import holm
from fmnist.compare.power import MOST_REPEATS
from fmnist.compare.ranking import GENERALISES_TO, Friedman, cliques, friedman, unbarred_pairs
from fmnist.compare.sequential import Design, PairDecision, decide, next_analysis, open_labels, planned_analyses
from fmnist.compare.spread import at_epoch_limit, log_spread_ratio, standard_deviation_interval
from fmnist.compare.test_set import VarianceLayers, variance_layers, variance_layers_of_means
from fmnist.compare.trade_offs import TARGET_ACCURACY, pareto_front, times_to_target
from fmnist.compare.verdicts import Verdict
