"""Why: a missing or a doubled process must be named in one line, in time, on every rank.

In: threads that play the ranks. Out: all go at once, or all are told the same fault.
"""

import socket
import threading
import time

import pytest

from chainrule.errors import InvalidValueError
from chainrule.world.rendezvous import meet


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def told(ranks, processes, seconds=10.0, versions=None, sizes=None, address=None):
    """Return what each rank is told: "" where it goes on."""
    address = address or f"127.0.0.1:{free_port()}"
    answers = ["?"] * len(ranks)

    def play(i):
        version = versions[i] if versions else "1"
        try:
            meet(address, sizes[i] if sizes else processes, ranks[i], seconds, version)
            answers[i] = ""
        except InvalidValueError as error:
            answers[i] = str(error)

    threads = [threading.Thread(target=play, args=(i,)) for i in range(len(ranks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_all_go_when_all_are_there(processes):
    assert told(range(processes), processes) == [""] * processes


def test_those_that_are_early_wait_for_rank_0():
    address = f"127.0.0.1:{free_port()}"
    early = threading.Thread(target=meet, args=(address, 2, 1, 10.0, "1"))
    early.start()
    time.sleep(0.3)
    meet(address, 2, 0, 10.0, "1")
    early.join(5)
    assert not early.is_alive()


def test_missing_ranks_are_named_to_all_that_came():
    answers = told([0, 2], 4, seconds=0.5)
    assert all("got none from ranks 1, 3" in answer for answer in answers)


def test_a_doubled_rank_is_named_to_all():
    assert all("got rank 1 twice" in answer for answer in told([0, 1, 1], 3))


def test_other_versions_are_named_to_all():
    answers = told([0, 1], 2, versions=["jax 1", "jax 2"])
    assert all("versions must be jax 1 on every rank, got jax 2 on rank 1" in answer for answer in answers)


def test_other_numbers_of_processes_are_named():
    answers = told([0, 1], 2, sizes=[3, 2])
    assert all("processes must be 3 on every rank, got 2 on rank 1" in answer for answer in answers)


def test_a_rank_beyond_those_of_rank_0_is_not_called_doubled():
    answers = told([0, 3], 2, sizes=[2, 4])
    assert all("processes must be 2 on every rank, got 4 on rank 3" in answer for answer in answers)


def test_nobody_at_the_address_is_told_in_time():
    began = time.monotonic()
    assert "Nobody answers there" in told([1], 2, seconds=0.5)[0]
    assert time.monotonic() - began < 5


def test_a_port_that_is_taken_is_named():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        assert "an address at which rank 0 can listen" in told([0], 2, seconds=0.5, address=address)[0]


def test_a_host_of_another_machine_is_named():
    assert "can listen" in told([0], 2, seconds=0.5, address="192.0.2.1:5000")[0]


def test_strangers_at_the_door_change_nothing():
    address = f"127.0.0.1:{free_port()}"
    host = threading.Thread(target=meet, args=(address, 2, 0, 20.0, "1"))
    host.start()
    for noise in (b"GET / HTTP/1.1\r\n\r\n", b"", b"\xff" * 400, b"7", b"one 2 3", b"1 two 3"):
        for _ in range(50):
            try:
                with socket.create_connection(("127.0.0.1", int(address.split(":")[1])), timeout=2) as stranger:
                    stranger.sendall(noise)
                break
            except OSError:
                time.sleep(0.05)
    meet(address, 2, 1, 10.0, "1")
    host.join(5)
    assert not host.is_alive()
