"""Statistics of a bank: stored bytes and the bytes that they restore to, by project."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from karbor_like.bank import layout
from karbor_like.bank.collector.mark import Marker, StreamTotals
from karbor_like.bank.objectstore import listing

if TYPE_CHECKING:
    from karbor_like.bank.bank import Bank


@dataclass(frozen=True)
class ProjectStats:
    """Statistics of one project in one bank.

    :param checkpoints: number of checkpoints in any state
    :param streams: number of volumes and images in all checkpoints
    :param logical: bytes of all streams when they are restored
    :param packs: number of packs
    :param stored: bytes of the packs
    """

    checkpoints: int
    streams: int
    logical: int
    packs: int
    stored: int

    def to_dict(self) -> dict[str, Any]:
        """Convert it to JSON."""
        return asdict(self)


def collect(bank: "Bank", progress: Callable[[int], None] | None = None) -> Mapping[str, ProjectStats]:
    """Collect the statistics of all projects. Reads the head and the tables of every manifest.

    :param progress: called with the number of checkpoints done so far
    """
    survey = Marker(bank.store, bank.keyring.resolve_key if bank.keyring else None, progress).walk()
    checkpoints = Counter(state.project_id for state in survey.checkpoints.values() if state.project_id)
    packs: Counter[str] = Counter()
    stored: Counter[str] = Counter()
    for info, project_id in listing.parsed(bank.store, layout.DATA, layout.parse_owner):
        packs[project_id] += 1
        stored[project_id] += info.size
    stats = {}
    for project_id in sorted({*checkpoints, *packs}):
        streams = survey.streams.get(project_id, StreamTotals())
        stats[project_id] = ProjectStats(
            checkpoints[project_id], streams.manifests, streams.logical, packs[project_id], stored[project_id]
        )
    return stats
