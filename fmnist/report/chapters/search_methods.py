"""The chapter on methods of a search: what was searched, how points were chosen and given up, fit for a paper."""

from collections.abc import Sequence

from fmnist.data import DATASET
from fmnist.declare import Choice, Given, Range, Strategy
from fmnist.report.chapter import Chapter
from fmnist.report.chapters.methods import made_words
from fmnist.report.search_data import SearchData
from fmnist.report.text import core_time, counted, names, number, setting, settings_words, spoken

SAMPLERS = {
    "grid": "took every point of the grid in an order drawn from its seed",
    "random": "drew points at random (Bergstra and Bengio 2012)",
    "optuna": "had points proposed by optuna's tree-structured Parzen estimator (Bergstra et al. 2011; Akiba et al."
    " 2019)",
}
PRUNINGS = {
    "none": "",
    "halving": " and ended a point whose first run was, at epoch 1, 3 or 9 and so on, below the best third of the first"
    " runs of the earlier generations that reached it (asynchronous successive halving by stopping, Li et al. 2020)",
    "race": " and ended a point, repeat after repeat, once it lost against the best one of the earlier generations on"
    " the same repeats (Wilcoxon's signed-rank test, one-sided p < 0.1, by optuna's WilcoxonPruner)",
}


def search_methods_chapter(data: SearchData, chapters: Sequence[Chapter]) -> Chapter:
    """What was searched, how, and what the other chapters say that they did."""
    done = dict.fromkeys(sentence for chapter in chapters for sentence in chapter.methods)
    scope = "What a search finds holds for this space, budget and data set, and is to be judged on fresh repeats."
    text = [_space_words(data), _strategies_words(data), made_words(data.search.rows), " ".join([*done, scope])]
    return Chapter(key="methods", title="Methods", text=text)


def _space_words(data: SearchData) -> str:
    search = data.search
    space = "; ".join(f"{spoken(name)}: {domain_words(item)}" for name, item in search.space.dimensions.items())
    settings = f" All points share {settings_words(search.settings)}." if search.settings else ""
    return (
        f"Hyperparameters of {names(search.architectures)} were searched on {DATASET.name} ({DATASET.reference}):"
        f" {space}.{settings} Hyperparameters outside of the space have each architecture's own values. Each point was"
        f" trained in {counted(search.repeats, 'repeat')}; repeat r has the same split, data order and seeds in every"
        f" point. {number(DATASET.validation_count)} of the"
        f" {number(DATASET.train_count + DATASET.validation_count)} training images, drawn anew in each repeat,"
        " judged it; the test images were not looked at."
    )


def domain_words(item: Choice | Range | Given) -> str:
    """Describe what a hyperparameter may be: 32, 64 or 128; 0.0001 to 0.01 (log scale)."""
    if isinstance(item, Choice):
        return ", ".join(map(setting, item.values))
    if isinstance(item, Given):
        cases = [f"{domain_words(case)} with {spoken(item.name)} {setting(key)}" for key, case in item.cases.items()]
        return " or ".join(cases)
    return f"{setting(item.low)} to {setting(item.high)}{' (log scale)' if item.log else ''}"


def _strategies_words(data: SearchData) -> str:
    sentences = [f"{strategy_words(item)}." for item in data.strategies]
    seeds = len({item.track.seed for item in data.tracks})
    budget = data.search.budget
    limits = [
        counted(budget.points, "point") if budget.points is not None else "",
        core_time(budget.core_seconds) if budget.core_seconds is not None else "",
    ]
    ends = f", each at most {' and '.join(filter(None, limits))}" if any(limits) else ""
    tracks = (
        f"In all {counted(len(data.tracks), 'track')} (architecture, strategy and seed; {counted(seeds, 'seed')}){ends}"
    )
    spent = core_time(sum(item.core_seconds for item in data.tracks))
    return (
        f"{' '.join(sentences)} {tracks}. A track goes by generations: points are proposed knowing all runs"
        " of its earlier generations and nothing else, so that what it does depends on its seed and the rows alone, not"
        f" on the number of workers. All tracks together cost {spent}, runs that several share counted in each."
    )


def strategy_words(strategy: Strategy) -> str:
    """Say how a strategy chose points and which it ended early."""
    return f"{strategy.name} {SAMPLERS[strategy.sampler]}{PRUNINGS[strategy.pruning]}"
