"""TCP_INFO of one connection over time, thinned out: what changed, and a sample now and then besides.

Rule: no socket; numbers in, samples out.
"""

from __future__ import annotations

from keptalive.diagnosis.evidence import Sample
from keptalive.tcp_info import TcpInfo

_AT_LEAST = 1.0  # s between samples in which nothing changed
_PART = 0.01  # ... and this part of the time so far: an hour of silence is a hundred samples, not thousands
_NEW_ANSWER = 0.05  # s between two acknowledgements that are two: times of TCP_INFO are ticks


class Recorder:
    """The samples of one arm."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.answered_probes = 0
        self.last_answered: float | None = None  # when the last acknowledgement had arrived
        self._skipped: Sample | None = None  # the last that was not kept

    @property
    def latest(self) -> Sample | None:
        """The last look."""
        return self._skipped or (self.samples[-1] if self.samples else None)

    def note(self, at: float, info: TcpInfo) -> None:
        """Take one look at the connection, at a time of the diagnosis."""
        sample = Sample(
            at=at,
            state=info.state,
            segments_in=info.segs_in or 0,
            segments_out=info.segs_out or 0,
            probes=info.probes or 0,
            unacked=info.unacked or 0,
            retransmits=info.retransmits or 0,
            since_ack=info.last_ack_recv or 0.0,
            bytes_acked=info.bytes_acked or 0,
            bytes_received=info.bytes_received or 0,
        )
        before = self.latest
        self._count_answer(sample, before)
        if before is None or _numbers(sample) != _numbers(before):
            if self._skipped is not None:
                self.samples.append(self._skipped)  # how long it stayed as it was
            self._keep(sample)
        elif at - self.samples[-1].at >= max(_AT_LEAST, _PART * at):
            self._keep(sample)
        else:
            self._skipped = sample

    def _keep(self, sample: Sample) -> None:
        self.samples.append(sample)
        self._skipped = None

    def _count_answer(self, sample: Sample, before: Sample | None) -> None:
        """An acknowledgement that acknowledges nothing new, and brings no data, is the answer to a probe."""
        answered = sample.at - sample.since_ack
        if self.last_answered is not None and answered <= self.last_answered + _NEW_ANSWER:
            return
        quiet = before is not None and (sample.bytes_acked, sample.bytes_received) == (
            before.bytes_acked,
            before.bytes_received,
        )
        if quiet and self.last_answered is not None:
            self.answered_probes += 1
        self.last_answered = answered


def _numbers(sample: Sample) -> tuple[object, ...]:
    """All that a change of makes a sample worth keeping: not the clock, and not what follows from it."""
    return (
        sample.state,
        sample.segments_in,
        sample.segments_out,
        sample.probes,
        sample.unacked,
        sample.retransmits,
        sample.bytes_acked,
        sample.bytes_received,
    )
