"""What sorting, searching, counting and order statistics say when they refuse: the texts are in golden/errors_ordering.txt."""

from __future__ import annotations

from collections.abc import Callable

from tests import test_quantiles, test_searching, test_segments, test_sorting
from tests.test_errors import text


def test_golden(golden: Callable[[str, str], None]) -> None:
    modules = (test_sorting, test_quantiles, test_searching, test_segments)
    golden("errors_ordering", text({f"{m.__name__.removeprefix('tests.test_')}: {k}": v[0] for m in modules for k, v in m.REFUSED.items()}))
