"""What a search found, run again: a study of the best points, and of what lies between them and the defaults."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fmnist import UserError
from fmnist.declare.architectures import find_architecture
from fmnist.declare.checks import flag, member, several, text, whole
from fmnist.declare.search import Search
from fmnist.declare.space import Given, Values
from fmnist.declare.study import MOST_REPEATS, PLACEMENTS, Configuration, Placement, Study, checked_name


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """A study of what a search found: each architecture's best point and its default, on repeats of their own.

    Its repeats begin after the search's, so that no run that chose a point also judges it; only here is the test set
    scored. With `path` the configurations between default and best point are run too: one hyperparameter after the
    other takes the value of the best point, together with those that depend on it.
    """

    name: str
    question: str
    search: Search
    repeats: int
    path: bool = False
    architectures: Sequence[str] = ()  # none: all of the search
    placement: Placement | None = None  # None: that of the search

    def __post_init__(self) -> None:
        checked_name("study", self.name)
        try:
            if not isinstance(self.search, Search):
                raise UserError(f"search: got {self.search!r:.100}, expected a Search")
            chosen = several("architectures", self.architectures or self.search.architectures, str)
            for architecture in chosen:
                member("architectures", architecture, self.search.architectures)
            object.__setattr__(self, "architectures", chosen)
            object.__setattr__(self, "question", text("question", self.question, longest=1000))
            object.__setattr__(self, "repeats", whole("repeats", self.repeats, 1, MOST_REPEATS))
            member("placement", self.placement or self.search.placement, PLACEMENTS)
            object.__setattr__(self, "path", flag("path", self.path))
        except UserError as error:
            raise UserError(f"study {self.name!r}: {error}") from None

    def study(
        self,
        best: Mapping[str, Values],
        order: Mapping[str, Sequence[str]],
        identity: Callable[[Configuration], Hashable] = lambda item: (item.architecture, item.hyperparameters),
    ) -> Study:
        """Make the study, given each architecture's best point, and the order in which a path changes hyperparameters.

        What an order leaves out comes last, as the space has it. Of configurations with one `identity`, as one net with
        two sets of defaults has them once it is tuned, the first one's label stands for all.
        """
        configurations: dict[Hashable, Configuration] = {}
        labels: dict[str, list[str]] = {}
        for architecture in self.architectures:
            steps = self.steps(architecture, best[architecture], order.get(architecture, ()))
            made = [self.search.configuration(architecture, values, label) for label, values in steps]
            kept = [configurations.setdefault(identity(item), item).label for item in made]
            labels[architecture] = list(dict.fromkeys(kept))
        return Study(
            name=self.name,
            question=self.question,
            configurations=tuple(configurations.values()),
            repeats=self.repeats,
            first_repeat=self.search.repeats,
            placement=self.placement or self.search.placement,
            tuning={"search": self.search.name, "labels": labels},
        )

    def steps(self, architecture: str, best: Values, order: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
        """Label and values of each configuration from the default to the best point; of a path also those between.

        A hyperparameter that depends on another one changes together with it.
        """
        default = self.default_values(architecture)
        between = self._between(architecture, default, best, order) if self.path else []
        return [(f"{architecture} default", default), *between, (f"{architecture} tuned", dict(best))]

    def _between(
        self, architecture: str, values: Values, best: Values, order: Sequence[str]
    ) -> list[tuple[str, dict[str, Any]]]:
        """Follow the order, but for what nothing would read yet: that waits for what makes it read."""
        dimensions = self.search.space_of(architecture).dimensions
        parents = {name: item.name for name, item in dimensions.items() if isinstance(item, Given)}
        with_parent = {name for name, parent in parents.items() if values[parent] != best[parent]}
        ordered = dict.fromkeys((*order, *dimensions))
        waiting = [name for name in ordered if name not in with_parent and not _same(name, values, best)]

        def changed(name: str) -> dict[str, Any]:
            group = {name, *(child for child, parent in parents.items() if parent == name)}
            source = {key: best if key in group else values for key in dimensions}
            return {key: of[key] for key, of in source.items() if key in of}

        steps = []
        while len(waiting) > 1:  # the last one makes the best point
            name = next((name for name in waiting if self._is_usable(architecture, changed(name))), waiting[0])
            waiting.remove(name)
            values = changed(name)
            steps.append((f"{architecture} + {name}", values))
        return steps

    def _is_usable(self, architecture: str, values: Values) -> bool:
        try:
            self.search.configuration(architecture, values, "step")
        except UserError:
            return False
        return True

    def default_values(self, architecture: str) -> dict[str, Any]:
        """An architecture's own values of the hyperparameters in its space, those that are read beside each other."""
        return self.search.space_of(architecture).values_of(find_architecture(architecture).defaults)


def _same(name: str, values: Values, others: Values) -> bool:
    """Whether a hyperparameter has the same value in both, or none."""
    return (name in values) == (name in others) and values.get(name) == others.get(name)
