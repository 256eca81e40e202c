"""What the scripts of this folder share: a child process that does one piece of
work for every line, and medians of alternating runs."""
import statistics
import subprocess
import time


class Child:
    def __init__(self, *argv, env=None):
        self.p = subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        self.ready = self.p.stdout.readline().strip()
        if not self.ready.startswith("ready"):
            raise SystemExit(f"{argv[0]} did not start: {self.ready!r}")

    def ask(self, line=""):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()
        return self.p.stdout.readline().split()

    def peak(self):
        """Peak resident memory in MiB, so far."""
        for line in open(f"/proc/{self.p.pid}/status"):
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024

    def close(self):
        self.p.stdin.close()
        self.p.wait()


def alternate(rounds, **work):
    """Calls every function in turn, rounds times; each returns (wall, cpu)
    seconds. The first round, which warms up, is dropped."""
    times = {k: [] for k in work}
    for i in range(rounds + 1):
        for k, f in work.items():
            t = f()
            if i:
                times[k].append(t)
            time.sleep(0.02)
    return times


def clock(times, threads):
    """Which of the two times to compare: with one thread that of the processor,
    which a busy machine does not stretch; with more the wall clock, for waiting
    threads may spin."""
    return {k: [t[1 if threads == 1 else 0] for t in v] for k, v in times.items()}


def median(v):
    return statistics.median(v)


def ratio(peer, ours):
    """How many times as fast ours is: the median over rounds of neighbouring
    runs, and the ratio of the best times."""
    return median([p / o for p, o in zip(peer, ours)]), min(peer) / min(ours)
