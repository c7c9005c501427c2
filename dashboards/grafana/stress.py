"""The dashboard for runs of the stress tool."""

from parts import (
    ACQUIRED,
    ACQUIRES,
    HOLD,
    HOLDS,
    LOCKS,
    OVERVIEW,
    WAIT,
    WAITING,
    by,
    contended_acquires,
    dashboard,
    gauge,
    increase,
    legend,
    quantiles,
    query,
    rate,
    row,
    series,
    stat,
)


def stress():
    """A run as a directory among others: an exporter looks at its `sessions/`; the run itself serves nothing."""
    panels = [
        row("The run so far"),
        stat(
            "Acquired",
            "short",
            "Acquires that got the lock in the time shown.",
            by(increase("session_lock_acquire_total", only=ACQUIRED)),
        ),
        stat(
            "Reclaimed",
            "short",
            "Claims of killed holders that were taken over in the time shown.",
            by(increase("session_lock_reclaim_total")),
        ),
        stat(
            "Restored",
            "short",
            "Claims that a fault deleted and their holders put back in the time shown.",
            by(increase("session_lock_claim_restored_total")),
        ),
        stat(
            "Lost",
            "short",
            "Claims that living holders lost in the time shown: only faults on lock files and older peers do that.",
            by(increase("session_lock_lost_total")),
            levels=((None, "green"), (0.5, "orange")),
        ),
        stat("Held", "short", "Locks that living workers hold now.", by(gauge("session_lock_held"))),
        stat(
            "Waiting",
            "short",
            "Acquires of living workers that wait now.",
            by(gauge("session_lock_waiters")),
            links=(WAITING, LOCKS),
        ),
        row("Load"),
        series(
            "Acquisitions",
            "ops",
            "Acquires that got the lock.",
            by(rate("session_lock_acquire_total", only=ACQUIRED)),
            links=(LOCKS, ACQUIRES),
        ),
        series(
            "Acquires that ended otherwise",
            "ops",
            "Tries, time-outs, cancelled acquires and errors; faults on disks and descriptors are errors.",
            by(
                rate("session_lock_acquire_total", "outcome", only=('outcome=~"busy|timeout|cancelled|error"',)),
                "outcome",
            ),
            links=(LOCKS, ACQUIRES),
        ),
        series(
            "Wait",
            "s",
            "From the call of an acquire to its success.",
            quantiles(WAIT, ACQUIRED),
            links=(WAITING, ACQUIRES),
        ),
        series("Hold", "s", "From acquire to release.", quantiles(HOLD), links=(LOCKS, HOLDS)),
        contended_acquires(),
        series(
            "Longest wait",
            "s",
            "How long the acquire that has waited longest has waited: it grows while holders are stopped or frozen.",
            by(gauge("session_lock_longest_wait_seconds")),
            links=(WAITING, LOCKS),
        ),
        row("Effects of faults"),
        series(
            "Reclaims",
            "ops",
            "What kills, restarts and reused pids lead to, by what had become of the owner.",
            by(rate("session_lock_reclaim_total", "reason"), "reason"),
            stacked=True,
        ),
        series(
            "Refused reclaims",
            "ops",
            "Claims that could not be taken over yet: a living writer, a grace, no evidence, another arbiter.",
            by(rate("session_lock_reclaim_refused_total", "why"), "why"),
        ),
        series(
            "Restored and lost claims",
            "ops",
            "What deleted and replaced lock files lead to.",
            [
                query(rate("session_lock_claim_restored_total", "cause"), legend("cause") + " restored"),
                query(rate("session_lock_lost_total", "cause"), legend("cause") + " lost"),
            ],
        ),
        series(
            "Releases that were none",
            "ops",
            "Holds that ended with a lost claim or an error.",
            by(rate("session_lock_release_total", "outcome", only=('outcome=~"lost|error"',)), "outcome"),
        ),
        series(
            "Files",
            "short",
            "Files at the paths of claims, by what they say about their lock.",
            by(gauge("session_lock_files", "state"), "state"),
            stacked=True,
        ),
        series(
            "Slots of counters",
            "short",
            "Slots by state: workers that were killed leave theirs to the next.",
            by(gauge("session_lock_slots", "state"), "state"),
            stacked=True,
        ),
    ]
    about = "Runs of the stress tool, each a directory that an exporter looks at: load, and what the faults lead to."
    return dashboard("session-lock-stress", "Session locks: stress runs", about, OVERVIEW, "now-15m", panels)
