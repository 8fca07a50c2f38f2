"""What the comparison is made of: intervals, tests, verdicts, ranks, group-sequential designs.

Module by module (none loads TensorFlow, Ray or matplotlib):
    comparable     select_comparable, metric_table: which rows may be compared
    intervals      summarize, Interval, Summary: one configuration, one metric
    paired_tests   the tests and effect sizes of one pair; verdicts, power: what they decide, and what would
                   (fmnist.comparison puts them together: compare_pairs, PairComparison)
    ranking        friedman, cliques: all configurations at once
    sequential     planned_looks, decide, next_look, open_labels: adding repeats until every pair is decided; beneath it
                   spending
    test_set_error variance_layers: what the 10,000 test images leave open
    claim_evaluation read_family: what estimates say of claims
    calibration    calibration_bins: whether confidence is right
    trainability   log_spread_ratio, standard_deviation_interval: spread between repeats
    trade_offs     times_to_target, performance_profile, pareto_front: accuracy against time and memory
"""
