"""Progress is read from what is progress: lines of real programs of both kinds."""

import pytest

from relay.runner.progress import (
    FULL_SECONDS,
    LatestProgress,
    Progress,
    progress_of_bars,
    progress_of_lines,
)

BARS = {
    # tqdm, Hugging Face
    " 42%|████▏     | 42/100 [00:01<00:02, 29.1it/s]": 0.42,
    "Epoch 2:  10%|█         | 5/50 [00:01<00:10,  4.3it/s, loss=0.3]": 0.1,
    "model.safetensors:  67%|██████▋   | 325M/486M [00:09<00:05, 30.1MB/s]": 0.67,
    "Map:  25%|██▌       | 1000/4000 [00:00<00:00, 9001.29 examples/s]": 0.25,
    # git, curl, wget, rsync, scp, pip, docker, npm, rich, ninja
    "Receiving objects:  63% (630/1000), 1.20 MiB | 2.30 MiB/s": 0.63,
    "Resolving deltas: 100% (12/12), done.": 1.0,
    "remote: Compressing objects:   8% (5/57)": 0.08,
    "######################                    31.5%": 0.315,
    "file.iso            48%[=======>          ]  96.10M  10.1MB/s    eta 10s": 0.48,
    "    1,238,099  14%    1.18MB/s    0:00:06": 0.14,
    "backup.tar    77%  150MB  10.2MB/s   00:04 ETA": 0.77,
    "   ━━━━━━━━━━━━━━━━━━━━  50% 1.2/2.4 MB": 0.5,
    "\x1b[32m 7.5%\x1b[0m downloading": 0.075,
    "=====>    100 %": 1.0,
    "[12/340] CC src/a.o": 0.0353,
    "3/10": 0.3,
    "    Building [=====>          ] 12/48: serde, libc": 0.25,
    # none
    "120%": None,
    "spinning |": None,
    "0/0": None,
    "v1.2/3": None,
    "Get:1 http://deb.example/debian 11/12/main": None,
}

LINES = {
    # CMake, pytest, ninja, cargo-like, docker build
    "[ 42%] Building CXX object src/a.o": 0.42,
    "[100%] Built target relay": 1.0,
    "tests/test_a.py ........          [ 77%]": 0.77,
    "tests/test_b.py::test_one PASSED                     [100%]": 1.0,
    "[3/10] cc -c a.c": 0.3,
    "[12/340] Linking CXX executable bin/relay": 0.0353,
    "Step 3/10 : RUN make": 0.3,
    "[ 3/10] RUN make": 0.3,
    "(3/10) Installing: zlib": 0.3,
    "(12/48): serde-1.0.rpm   1.1 MB/s | 200 kB  00:00": 0.25,
    # training
    "Epoch 3/10 loss 0.1": 0.3,
    "Epoch: 3/10": 0.3,
    "Epoch [3/10], Step [20/100], Loss: 0.43": 0.3,
    "Epoch 3/10, batch 5/20": 0.3,
    "Training: 40% complete": 0.4,
    "Batch 20/80: loss=0.2": 0.25,
    "step 250/1000": 0.25,
    "Iteration 7/14 done": 0.5,
    " 42%|████▏     | 42/100 [00:01<00:02, 29.1it/s]": 0.42,
    "Downloading shards: 50%|█████     | 1/2 [00:03<00:03]": 0.5,
    # others
    "processing file 9/12: a.txt": 0.75,
    "Progress: 35%": 0.35,
    "progress 35.5 %": 0.355,
    "Downloading… 12%": 0.12,
    "Downloading model.bin: 80%": 0.8,
    "Copying files 3/4": 0.75,
    "Receiving objects: 100% (1000/1000), done.": 1.0,
    "Writing objects:  50% (2/4)": 0.5,
    "42%": 0.42,
    "10% done": 0.1,
    "99% complete": 0.99,
    "3/10": 0.3,
    "50% [=====     ]": 0.5,
    "12% |####      | ETA: 0:00:10": 0.12,
    "Task 5/5 finished": 1.0,
    "\x1b[32m[ 50%]\x1b[0m Building C object": 0.5,
    # dates and times
    "[04/05 01:30:24 d2.utils.events]: eta: 0:03:35  iter: 19": None,
    "11/28 18:31:00 INFO starting up": None,
    "11/28/2026 18:31:00 INFO starting up": None,
    "2026/11/28 18:31:00 [error] 12#12: open() failed": None,
    "[11/28] 18:31:00 starting": None,
    "(11/28) 18:31 starting": None,
    "released on 2024/10": None,
    "on 3/10 we start": None,
    "3/10 we start": None,
    # versions, paths, addresses
    "Python 3.11/3.12": None,
    "see /usr/3/10": None,
    "http://example.com/3/10": None,
    "HTTP/1.1 200 12/13": None,
    "10.0.0.1/24": None,
    "1/24 dev eth0": None,
    "ESLint 8/9 compatible": None,
    # quantities, rates, results
    "we took 1/2 cup": None,
    "1/2 cup": None,
    "3/4 inch": None,
    "5/3 of it": None,
    "0% packet loss": None,
    "3 packets transmitted, 3 received, 0% packet loss, time 2003ms": None,
    "99.9% uptime": None,
    "15% faster than before": None,
    "50% of users": None,
    "the disk is 93% full": None,
    "/dev/sda1        50G   20G   28G  42% /": None,
    "93% /dev/sda1": None,
    "3/10 tests failed": None,
    "Tests: 3/10 passed": None,
    "9/10 pods ready": None,
    "deployment/web 1/3 ready": None,
    "coverage: 87.5% of statements": None,
    "TOTAL                 1200    100    92%": None,
    "CPU 42% MEM 13%": None,
    "load 1/2/3": None,
    "accuracy 93%": None,
    "Cache hit rate: 97%": None,
    "-5% since yesterday": None,
    "a grade of 9/10!": None,
}


def fraction_of(found: object) -> float | None:
    return getattr(found, "fraction", None)


@pytest.mark.parametrize(("bar", "fraction"), BARS.items(), ids=str)
def test_progress_is_read_from_bars(bar: str, fraction: float | None) -> None:
    assert fraction_of(progress_of_bars(bar)) == fraction


@pytest.mark.parametrize(("line", "fraction"), LINES.items(), ids=str)
def test_progress_is_read_from_lines(line: str, fraction: float | None) -> None:
    found = progress_of_lines(f"something\n{line}\nsomething else")
    assert fraction_of(found) == fraction


def test_of_several_bars_the_uppermost_counts_and_of_lines_the_newest() -> None:
    bars = "epochs:  33%|███   | 1/3\nbatches:  90%|█████ | 9/10"
    assert fraction_of(progress_of_bars(bars)) == 0.33
    assert fraction_of(progress_of_bars(f"batches: 100%|███| 10/10\n{bars}")) == 0.33
    assert fraction_of(progress_of_bars("a: 100%|███| 10/10\nb: 100%|███| 5/5")) == 1.0
    assert fraction_of(progress_of_lines("[1/10] a\n[2/10] b\nc")) == 0.2


HALF, FULL = Progress(0.5, "half"), Progress(1.0, "full")
# What is read, whether lines may still be written over, the time in seconds; and what is sent.
Step = tuple[Progress | None, bool, float, Progress | None]


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([(HALF, True, 0, HALF), (FULL, False, 1, FULL)], id="a line that ends"),
        pytest.param([(FULL, True, 0, None), (HALF, True, 1, HALF)], id="written over"),
        pytest.param([(FULL, True, 0, None), (None, False, 1, FULL)], id="its end comes later"),
        pytest.param(
            [
                (FULL, True, 0, None),
                (FULL, True, 1, None),
                (None, True, FULL_SECONDS - 0.1, None),
                (None, True, FULL_SECONDS, FULL),
                (None, True, 2 * FULL_SECONDS, None),
            ],
            id="it has no end",
        ),
    ],
)
def test_a_full_bar_counts_when_nothing_writes_over_it(steps: list[Step]) -> None:
    latest = LatestProgress()
    for found, unfinished, now, sent in steps:
        assert latest.take(found, unfinished, now) == sent
