"""Numbers and flags: the statistical comparison of runs. No TensorFlow, no Ray."""

from fmnist.compare.calibration import CalibrationBins, calibration_bins
from fmnist.compare.claims import ClaimVerdict, Region, claim_verdicts
from fmnist.compare.comparable import Hardware, Refusal, hardware_of, select_comparable
from fmnist.compare.comparison import PairComparison, PairDecision, Verdict, compare_pairs
from fmnist.compare.importance import (
    FEWEST_FOR_IMPORTANCE,
    MOST_FOR_FANOVA,
    first_pair,
    has_fanova,
    having,
    importances,
    means_by_pair,
    means_by_value,
    optuna_distribution,
    trend,
)
from fmnist.compare.intervals import (
    FAMILY_ERROR,
    Estimate,
    Interval,
    Summary,
    difference_estimate,
    mean_estimate,
    summarize,
    wilson_interval,
)
from fmnist.compare.paired import holm
from fmnist.compare.ranking import Friedman, cliques, friedman, unbarred_pairs
from fmnist.compare.search import (
    FEWEST_FOR_A_BAND,
    BudgetFigures,
    Curve,
    Edge,
    TrackResult,
    budget_figures,
    by_strategy,
    common_budget,
    complete,
    distinct,
    edges,
    is_ordered,
    paired_difference,
    position,
    strategy_curve,
    values_by_repeat,
)
from fmnist.compare.sequential import Design, decide, next_analysis, open_labels, planned_analyses
from fmnist.compare.spread import at_epoch_limit, log_spread_ratio, standard_deviation_interval
from fmnist.compare.test_set import VarianceLayers, layered_estimate, variance_layers, variance_layers_of_means
from fmnist.compare.tracks import (
    RESULT_COLUMNS,
    RUN_STATUSES,
    Point,
    PointResult,
    PointStatus,
    Results,
    RunResult,
    RunStatus,
    WantedRun,
    best,
    core_seconds,
    is_spent,
    read_results,
    replay,
    run_result,
)
from fmnist.compare.trade_offs import TARGET_ACCURACY, pareto_front, times_to_target
from fmnist.compare.tuning import OrderChange, Path, Ranking, Step, Tuned, TuningComparison, compare_tuning
