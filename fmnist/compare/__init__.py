"""Numbers and flags: the statistical comparison of runs. No TensorFlow, no Ray."""

from fmnist.compare.calibration import CalibrationBins, calibration_bins
from fmnist.compare.claim_evaluation import Estimate, Reading, Region, layered_estimate, paired_estimate, read_family
from fmnist.compare.comparable import hardware_of, select_comparable
from fmnist.compare.comparison import PairComparison, compare_pairs
from fmnist.compare.intervals import Array, FAMILY_ERROR, Interval, SAME, Summary, finite, summarize, wilson_interval
from fmnist.compare.paired_tests import holm
from fmnist.compare.power import MOST_REPEATS
from fmnist.compare.ranking import Friedman, GENERALISES_TO, cliques, friedman, unbarred_pairs
from fmnist.compare.sequential import Design, PairDecision, decide, next_analysis, open_labels, planned_analyses
from fmnist.compare.spread import at_epoch_limit, log_spread_ratio, standard_deviation_interval
from fmnist.compare.test_set import VarianceLayers, variance_layers, variance_layers_of_means
from fmnist.compare.trade_offs import TARGET_ACCURACY, pareto_front, times_to_target
from fmnist.compare.verdicts import Verdict

__all__ = ["Array", "CalibrationBins", "Design", "Estimate", "FAMILY_ERROR", "Friedman", "GENERALISES_TO", "Interval", "MOST_REPEATS", "PairComparison", "PairDecision", "Reading", "Region", "SAME", "Summary", "TARGET_ACCURACY", "VarianceLayers", "Verdict", "at_epoch_limit", "calibration_bins", "cliques", "compare_pairs", "decide", "finite", "friedman", "hardware_of", "holm", "layered_estimate", "log_spread_ratio", "next_analysis", "open_labels", "paired_estimate", "pareto_front", "planned_analyses", "read_family", "select_comparable", "standard_deviation_interval", "summarize", "times_to_target", "unbarred_pairs", "variance_layers", "variance_layers_of_means", "wilson_interval"]
