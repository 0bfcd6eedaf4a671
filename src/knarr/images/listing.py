"""``images`` and ``system df``: Docker's filters, and sizes that images share.

Filters: dangling, label, label!, before, since, until, reference. Values of one filter are
alternatives, except labels, which must all hold.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from knarr.api import filters as api_filters
from knarr.api import timestamps
from knarr.api.images import ImageSummary
from knarr.errors import InvalidArgumentError
from knarr.oci import reference
from knarr.oci.matching import familiar_match

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from knarr.images.catalog import Catalog
    from knarr.images.image import Image
    from knarr.oci.digest import DiffID, Digest

    Filters = Mapping[str, Sequence[str]]
    Test = Callable[[Image], bool]

KNOWN = frozenset({"dangling", "label", "label!", "before", "since", "until", "reference"})
PRUNE_KNOWN = frozenset({"dangling", "label", "label!", "until"})


def summaries(
    catalog: Catalog,
    filters: Filters,
    *,
    every: bool = False,
    shared: Mapping[Digest, int] | None = None,
    containers: Mapping[Digest, int] | None = None,
) -> list[ImageSummary]:
    """The images that pass the filters, newest first.

    Without ``every`` images that only serve others as parents are left out. ``shared`` and
    ``containers`` fill SharedSize and Containers, which are -1 otherwise.
    """
    api_filters.require_known(filters, KNOWN)
    images = catalog.all()
    parents = {image.parent for image in images if image.parent is not None}
    tests = [*_moment_tests(catalog, filters), label_test(filters)]
    found = []
    for image in images:
        names = _shown_names(image, filters.get("reference", ()))
        if not all(test(image) for test in tests):
            continue
        if _is_hidden(image, names, filters, is_parent=image.id in parents and not every):
            continue
        found.append(_summary(image, names, shared, containers))
    return sorted(found, key=lambda each: (-each.created, each.id))


def label_test(filters: Filters) -> Test:
    """A test of ``label`` and ``label!``."""
    wanted, unwanted = filters.get("label", ()), filters.get("label!", ())

    def test(image: Image) -> bool:
        labels = image.config.labels
        return api_filters.match_labels(wanted, labels) and not (
            unwanted and api_filters.match_labels(unwanted, labels)
        )

    return test


def until_test(filters: Filters) -> Test | None:
    """A test of ``until``: made before that moment; None without the filter."""
    values = filters.get("until", ())
    if not values:
        return None
    if len(values) > 1:
        raise InvalidArgumentError("more than one until filter specified")
    limit = timestamps.parse(values[0], now=time.time_ns())
    return lambda image: image.created_ns <= limit


def shared_sizes(images: Iterable[Image], sizes: Mapping[DiffID, int]) -> dict[Digest, int]:
    """For each image the bytes of its layers that another image has too."""
    every = list(images)
    users = Counter(diff_id for image in every for diff_id in set(image.layers))
    return {
        image.id: sum(sizes.get(each, 0) for each in set(image.layers) if users[each] > 1)
        for image in every
    }


def _moment_tests(catalog: Catalog, filters: Filters) -> list[Test]:
    before = [catalog.get(name).created_ns for name in filters.get("before", ())]
    since = [catalog.get(name).created_ns for name in filters.get("since", ())]
    until = until_test(filters)
    tests: list[Test] = [] if until is None else [until]
    if before:
        tests.append(lambda image: image.created_ns < min(before))
    if since:
        tests.append(lambda image: image.created_ns > max(since))
    return tests


def _shown_names(image: Image, patterns: Sequence[str]) -> list[reference.Reference]:
    names = [reference.parse_canonical(each) for each in image.references]
    if not patterns:
        return names
    return [name for name in names if any(familiar_match(pattern, name) for pattern in patterns)]


def _is_hidden(
    image: Image, names: list[reference.Reference], filters: Filters, *, is_parent: bool
) -> bool:
    dangling = api_filters.boolean(filters, "dangling", default=False)
    if not names:
        only_named = filters.get("reference") or (filters.get("dangling") and not dangling)
        return bool(is_parent or only_named)
    return dangling and any(name.digest is None for name in names)


def _summary(
    image: Image,
    names: list[reference.Reference],
    shared: Mapping[Digest, int] | None,
    containers: Mapping[Digest, int] | None,
) -> ImageSummary:
    return ImageSummary(
        id=image.id,
        parent_id=image.parent or "",
        created=image.created_ns // timestamps.SECOND,
        labels=image.config.labels,
        repo_tags=[name.familiar() for name in names if name.digest is None],
        repo_digests=[name.familiar() for name in names if name.digest is not None],
        size=image.size,
        shared_size=-1 if shared is None else shared.get(image.id, 0),
        containers=-1 if containers is None else containers.get(image.id, 0),
    )
