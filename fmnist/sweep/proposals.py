"""Which points of a space a search tries next, as Ray Tune's own OptunaSearch proposes them.

A pure function of the seed and of what was tried before: nothing of a search needs to be kept but its points and rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fmnist.declare import Space, Strategy, Values

ATTEMPTS = 100  # at a point that was not tried yet, before one is taken from a list of them
METRIC = "value"


def propose(
    space: Space, strategy: Strategy, seed: int, tried: Sequence[tuple[Values, float | None]], count: int
) -> list[dict[str, Any]]:
    """Propose up to `count` points that were not tried yet, fewer where the space is used up.

    `tried` are the points so far, each with its value, None where it has none; higher values are better.
    """
    known = {_key(values) for values, _ in tried}
    if strategy.sampler == "grid":
        return _untried(space, known, seed)[:count]
    chosen: list[dict[str, Any]] = []
    asked = _suggestions(space, strategy, seed, tried)
    while len(chosen) < count:
        fresh = (values for _, values in zip(range(ATTEMPTS), asked, strict=False) if _key(values) not in known)
        values = next(fresh, None) or next(iter(_untried(space, known, seed)), None)
        if values is None:
            break
        known.add(_key(values))
        chosen.append(values)
    return chosen


def propose_grid(
    space: Space, strategy: Strategy, seed: int, tried: Sequence[tuple[Values, float | None]], count: int
) -> list[dict[str, Any]]:
    """Propose points of a grid alone, as `propose` does: those can be known without any run, and without Ray."""
    return propose(space, strategy, seed, tried, count) if strategy.sampler == "grid" else []


def _key(values: Values) -> tuple[Any, ...]:
    return tuple(sorted(values.items()))


def _untried(space: Space, known: set[tuple[Any, ...]], seed: int) -> list[dict[str, Any]]:
    """The points of a finite space that are not known, in an order drawn from the seed; none of an infinite one."""
    points = [] if space.size is None else list(space.grid())
    order = np.random.default_rng(seed).permutation(len(points))
    return [points[index] for index in order if _key(points[index]) not in known]


def _suggestions(
    space: Space, strategy: Strategy, seed: int, tried: Sequence[tuple[Values, float | None]]
) -> Iterator[dict[str, Any]]:
    """Let OptunaSearch suggest one point after the other, none of which gets a value.

    Its study is made anew of the points that have one; random draws do not need them.
    """
    import optuna
    from ray.tune.search.optuna import OptunaSearch

    from fmnist.compare import optuna_distribution

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    drawn_from = int(np.random.SeedSequence([seed, len(tried)]).generate_state(1)[0])
    is_random = strategy.sampler == "random"
    sampler = optuna.samplers.RandomSampler(drawn_from) if is_random else optuna.samplers.TPESampler(seed=drawn_from)
    valued = [] if is_random else [(space.flat(values), value) for values, value in tried if value is not None]
    names = {item.name: f"p{number}" for number, item in enumerate(space.parameters)}  # a "/" in a name would nest
    search = OptunaSearch(
        {names[item.name]: optuna_distribution(item) for item in space.parameters},
        metric=METRIC,
        mode="max",
        sampler=sampler,
        points_to_evaluate=[{names[name]: value for name, value in flat.items()} for flat, _ in valued],
        evaluated_rewards=[value for _, value in valued],
    )
    number = 0
    while True:
        suggested: Mapping[str, Any] = search.suggest(str(number)) or {}
        yield space.point({name: suggested[short] for name, short in names.items()})
        number += 1
