# SPDX-License-Identifier: Apache-2.0
"""Tries generated trees until the time is up or one does not run the same here and remotely, and shrinks that one.

Behind ``./dev fuzz [seconds]``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import HypothesisException

from tests.support.probe import make_site
from tests.support.servers import make_owner
from tests.support.trees import EXAMPLES, Example
from tests.support.twins import Twins, check, serving_twins

ROUND = 100  # examples between two looks at the clock; half a minute


def search(twins: Twins, number: int) -> int:
    """Try a round of examples, those that belong to *number*; how many there were.

    Raises:
        AssertionError: the smallest one that could be found that does not run the same.
    """
    count = 0

    @seed(number)
    @settings(
        max_examples=ROUND,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(generated=EXAMPLES)
    def tries(generated: Example) -> None:
        nonlocal count
        count += 1
        check(twins, generated)

    tries()
    return count


def main(arguments: Sequence[str]) -> int:
    """Search; the exit code."""
    parser = argparse.ArgumentParser(prog="./dev fuzz", description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=300.0, help="how long to search (default: 300)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="first seed, to search the same again")
    options = parser.parse_args(arguments)
    deadline_s = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        (folder / "twins").mkdir()
        owner = make_owner(folder / "keys")
        with serving_twins(folder / "twins", owner.folder, make_site(folder / "site")) as twins:
            number, count = options.seed, 0
            while time.monotonic() < deadline_s:
                try:
                    count += search(twins, number)
                except (AssertionError, HypothesisException) as error:
                    print(f"{error}\n\n--seed {number} finds it again", flush=True)
                    return 1
                number += 1
                print(f"{count} trees run the same here and remotely", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
