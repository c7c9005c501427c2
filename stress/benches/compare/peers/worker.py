"""A worker in Python. What it is started with and what it writes stand in worker.rs."""

import random
import struct
import sys
import time

NOT_COUNTED = 2**64 - 1


def open_peer(name, path):
    """The two calls that acquire and release."""
    if name == "portalocker":
        import portalocker

        # A bound that no wait comes to: without one it gives up after 5 s.
        lock = portalocker.Lock(path, timeout=120)
    else:
        import filelock

        lock = {"FileLock": filelock.FileLock, "SoftFileLock": filelock.SoftFileLock}[name](path)
    return lock.acquire, lock.release


def own(name, directory, session):
    acquire, _ = open_peer(name, f"{directory}/{session}.lock")
    print("asking", flush=True)
    acquire()
    print(time.monotonic_ns(), flush=True)
    time.sleep(60)


def work(name, directory, session, hold_us, think_max_us, start, until, seed, out):
    acquire, release = open_peer(name, f"{directory}/{session}.lock")
    rng = random.Random(int(seed))
    hold_ns, think_max_s = 1000 * int(hold_us), int(think_max_us) / 1e6
    now, stamps = time.monotonic_ns, []
    ready = now()
    time.sleep(max(0, int(start) - ready) / 1e9)
    if until.startswith("x"):
        count = int(until[1:])
        for _ in range(count // 10):
            acquire()
            release()
        cpu = time.process_time_ns()
        for _ in range(count):
            asked = now()
            acquire()
            release()
            stamps += (asked, 0, 0, now())
    else:
        end = int(until)
        cpu = time.process_time_ns()
        while now() < end:
            if think_max_s:
                time.sleep(rng.uniform(0, think_max_s))
            asked = now()
            acquire()
            acquired = releasing = now()
            while releasing < acquired + hold_ns:
                releasing = now()
            release()
            stamps += (asked, acquired, releasing, now())
    cpu = time.process_time_ns() - cpu
    with open(out, "wb") as file:
        file.write(struct.pack(f"<{3 + len(stamps)}Q", ready, cpu, NOT_COUNTED, *stamps))


def version(package):
    # No worker has to load this.
    from importlib import metadata
    from platform import python_version

    return f"{package} {metadata.version(package)}, Python {python_version()}"


def main(role, *arguments):
    if role == "check":
        open_peer(arguments[0], "/dev/null")
        print(version("portalocker" if arguments[0] == "portalocker" else "filelock"))
    else:
        {"owner": own, "worker": work}[role](*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
