"""What of a connection's TCP_INFO is worth keeping, and what counts as an answered probe."""

from __future__ import annotations

from keptalive.diagnosis.recorder import Recorder
from keptalive.tcp_info import TcpInfo


def info(**values: float) -> TcpInfo:
    return TcpInfo("ESTABLISHED", **{"segs_in": 2, "bytes_acked": 100, "bytes_received": 0, **values})  # type: ignore[arg-type]


def test_silence_is_thinned_out() -> None:
    """Where nothing changes a sample a second stays, and of an hour some hundreds."""
    recorder = Recorder()
    for tick in range(4 * 3600):
        recorder.note(tick / 4, info(last_ack_recv=tick / 4))
    times = [sample.at for sample in recorder.samples]

    assert times[:4] == [0, 1, 2, 3]
    assert len(times) < 700
    assert recorder.latest is not None
    assert recorder.latest.at == 3600 - 0.25
    assert recorder.answered_probes == 0


def test_a_change_is_kept_with_what_was_before() -> None:
    """Both sides of a step: how long it stayed as it was, and when it changed."""
    recorder = Recorder()
    for at, probes in ((0.0, 0), (0.25, 0), (0.5, 0), (0.75, 1), (1.0, 1)):
        recorder.note(at, info(probes=probes, last_ack_recv=at))

    assert [(sample.at, sample.probes) for sample in recorder.samples] == [(0.0, 0), (0.5, 0), (0.75, 1)]


def test_answers_to_probes() -> None:
    """An acknowledgement that brings nothing new; the request's own, or data's, is none."""
    recorder = Recorder()
    recorder.note(0.0, info(bytes_acked=0, last_ack_recv=0.0))
    recorder.note(0.25, info(last_ack_recv=0.2))  # the request's
    recorder.note(2.25, info(segs_in=3, last_ack_recv=0.1))  # a probe's
    recorder.note(2.50, info(segs_in=3, last_ack_recv=0.35))
    recorder.note(4.25, info(segs_in=4, last_ack_recv=0.0))  # another's
    recorder.note(5.00, info(segs_in=5, bytes_received=10, last_ack_recv=0.1))  # data's

    assert recorder.answered_probes == 2
    assert recorder.last_answered == 4.9


def test_the_peers_own_probes_are_no_answers() -> None:
    """They are segments, and refresh no acknowledgement."""
    recorder = Recorder()
    for at, segments in ((0.0, 2), (2.0, 3), (4.0, 4)):
        recorder.note(at, info(segs_in=segments, last_ack_recv=at))

    assert recorder.answered_probes == 0
    assert len(recorder.samples) == 3
