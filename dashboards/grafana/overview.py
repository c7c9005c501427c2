"""The dashboard for those who run what locks: who holds and waits, how long, and whether it gets worse."""

from parts import (
    ACQUIRED,
    ACQUIRES,
    HOLD,
    HOLDS,
    LOCK,
    LOCKS,
    NOT_ACQUIRED,
    OF_EXPORTER,
    STRESS,
    WAIT,
    WAITING,
    by,
    contended_acquires,
    dashboard,
    gauge,
    heatmap,
    legend,
    quantiles,
    query,
    rate,
    row,
    selected,
    series,
    stat,
    table,
)

EXPORTER = "{{instance}}"


def now():
    good_or_bad = ((None, "red"), (1, "green"))
    return [
        row("Now"),
        stat("Held", "short", "Locks that living processes hold now.", by(gauge("session_lock_held"))),
        stat(
            "Waiting",
            "short",
            "Acquires of living processes that wait now.",
            by(gauge("session_lock_waiters")),
            links=(WAITING, LOCKS),
        ),
        stat(
            "Oldest hold",
            "s",
            "How long the lock held longest has been held. Above 30 minutes there is an alert.",
            by(gauge("session_lock_oldest_hold_seconds")),
            levels=((None, "green"), (1800, "orange")),
        ),
        stat(
            "Longest wait",
            "s",
            "How long the acquire that has waited longest has waited. Above one minute there is an alert.",
            by(gauge("session_lock_longest_wait_seconds")),
            levels=((None, "green"), (60, "orange")),
            links=(WAITING, LOCKS),
        ),
        stat(
            "Claims replaced",
            "short",
            "Claims of living holders replaced since the counters began: two may have written one session.",
            by(gauge("session_lock_lost_total", only=('cause="replaced"',))),
            levels=((None, "green"), (1, "red")),
        ),
        stat(
            "Directories readable",
            "bool_yes_no",
            "Whether the exporter could read all of each directory.",
            by(gauge("session_lock_exporter_up")),
            levels=good_or_bad,
        ),
        table(
            "Alerts that fire",
            "short",
            "Alerts of session locks, of all directories; the runbook has a section for each.",
            'ALERTS{alertname=~"SessionLock.+", alertstate="firing"}',
            hidden=("alertstate", "Value"),
            width=24,
            height=5,
        ),
    ]


def acquires():
    return [
        row("Acquires: rate, errors, duration"),
        series(
            "Acquires",
            "ops",
            "Acquires that ended, by outcome. Busy is a try that found the lock taken.",
            by(rate("session_lock_acquire_total", "outcome"), "outcome"),
            links=(LOCKS, ACQUIRES),
        ),
        series(
            "Share of time-outs",
            "percentunit",
            "Share of acquires that ran into their deadline, over 5 minutes, 1 hour and 1 day. The budget is 1 %.",
            [
                query(selected(f"directory:session_lock_acquire:timeout_ratio_rate{window}"), f"{legend()} {window}")
                for window in ("5m", "1h", "1d")
            ],
            links=(WAITING, ACQUIRES),
        ),
        series(
            "Wait",
            "s",
            "From the call of an acquire to its success. The dots are sampled acquires: they lead to their traces.",
            quantiles(WAIT, ACQUIRED),
            links=(WAITING, ACQUIRES),
        ),
        heatmap(
            "Waits",
            "s",
            "How many acquires waited how long until they had the lock. The dots lead to their traces.",
            f"sum by (le) (increase({selected(WAIT + '_bucket', *ACQUIRED)}[$__rate_interval]))",
            width=12,
            links=(WAITING, ACQUIRES),
        ),
        series(
            "Wait of those that failed",
            "s",
            "Mean wait of the acquires that did not get the lock, by outcome.",
            by(
                " / ".join(rate(WAIT + ending, "outcome", only=NOT_ACQUIRED) for ending in ("_sum", "_count")),
                "outcome",
            ),
            width=12,
            links=(WAITING, ACQUIRES),
        ),
    ]


def contention():
    return [
        row("Contention: who is in the way"),
        contended_acquires(),
        series(
            "Blocked time",
            "short",
            "Acquires blocked on average (seconds waited in each second), by the kind of holder in the way.",
            by(rate("session_lock_blocked_seconds_total", "by"), "by"),
            stacked=True,
            links=(WAITING, ACQUIRES),
        ),
        series(
            "Held and waiting",
            "short",
            "Locks held and acquires waiting, of living processes.",
            [
                query(gauge("session_lock_held"), f"{legend()} held"),
                query(gauge("session_lock_waiters"), f"{legend()} waiting"),
            ],
        ),
        series(
            "Oldest hold and longest wait",
            "s",
            "How long the oldest of those that hold and wait now have done so.",
            [
                query(gauge("session_lock_oldest_hold_seconds"), f"{legend()} hold"),
                query(gauge("session_lock_longest_wait_seconds"), f"{legend()} wait"),
            ],
        ),
        table(
            "Held longest",
            "s",
            "The locks held longest, by session. Only where the exporter runs with --locks.detail.",
            f"topk(10, {selected('session_lock_held_seconds')})",
            links=(LOCK,),
        ),
        table(
            "Waiting longest",
            "s",
            "The sessions waited for longest. Only where the exporter runs with --locks.detail.",
            f"topk(10, {selected('session_lock_waiting_seconds')})",
            links=(LOCK, WAITING),
        ),
    ]


def holds():
    return [
        row("Holds"),
        series(
            "Hold",
            "s",
            "From acquire to release. The dots are sampled holds: they lead to their traces.",
            quantiles(HOLD),
            links=(LOCKS, HOLDS),
        ),
        series(
            "Releases",
            "ops",
            "Holds that ended, by outcome: lost means that the claim was not there any more.",
            by(rate("session_lock_release_total", "outcome"), "outcome"),
            links=(LOCKS, HOLDS),
        ),
        series(
            "Holds beyond their maximum",
            "ops",
            "Holds that lasted longer than the maximum they were asked with, by what was done.",
            by(rate("session_lock_hold_exceeded_total", "action"), "action"),
            links=(LOCKS, HOLDS),
        ),
    ]


def claims():
    return [
        row("Claims: reclaims, losses, files"),
        series(
            "Reclaims",
            "ops",
            "Claims of dead owners that were taken over, by what had become of the owner.",
            by(rate("session_lock_reclaim_total", "reason"), "reason"),
            stacked=True,
            width=12,
        ),
        series(
            "Refused reclaims",
            "ops",
            "Claims that could not be taken over yet. Look after unknown and foreign_arbiter.",
            by(rate("session_lock_reclaim_refused_total", "why"), "why"),
            width=12,
        ),
        series(
            "Restored and lost claims",
            "ops",
            "Claims of living holders that somebody deleted (put back, or lost) or replaced (lost).",
            [
                query(rate("session_lock_claim_restored_total", "cause"), legend("cause") + " restored"),
                query(rate("session_lock_lost_total", "cause"), legend("cause") + " lost"),
            ],
            width=12,
        ),
        series(
            "Files",
            "short",
            "Files at the paths of claims, by what they say about their lock.",
            by(gauge("session_lock_files", "state"), "state"),
            stacked=True,
            width=12,
        ),
    ]


def exporter():

    def own(metric):
        return f"{metric}{{{OF_EXPORTER}}}"

    requests = own("session_lock_exporter_http_requests_total")
    return [
        row("Exporter"),
        series(
            "Up",
            "short",
            "Whether Prometheus reaches the exporter, and whether the exporter can read each directory.",
            [query(own("up"), f"{EXPORTER} answers"), query(gauge("session_lock_exporter_up"), f"{legend()} readable")],
        ),
        series(
            "Duration of a look",
            "s",
            "How long the exporter looked at each directory, and how long the whole scrape took.",
            [
                query(gauge("session_lock_exporter_scrape_duration_seconds"), legend()),
                query(own("scrape_duration_seconds"), f"{EXPORTER} whole scrape"),
            ],
        ),
        series(
            "Slots of counters",
            "short",
            "Slots by state; there are 1024. Inherited ones are free for the next process, the others are not.",
            by(gauge("session_lock_slots", "state"), "state"),
            stacked=True,
        ),
        series(
            "Requests",
            "reqps",
            "Requests that the exporter answered, by status code.",
            [
                query(
                    f"sum by (job, instance, code) (rate({requests}[$__rate_interval]))",
                    f"{EXPORTER} {{{{code}}}}",
                )
            ],
            width=6,
        ),
        series(
            "Processor",
            "percentunit",
            "Processor time of the exporter; 100 % is one processor.",
            [query(f"rate({own('process_cpu_seconds_total')}[$__rate_interval])", EXPORTER)],
            width=6,
        ),
        series(
            "Memory",
            "bytes",
            "Resident memory of the exporter.",
            [query(own("process_resident_memory_bytes"), EXPORTER)],
            width=6,
        ),
        series(
            "Descriptors",
            "percentunit",
            "Share of the exporter's file descriptors that are open.",
            [query(f"{own('process_open_fds')} / {own('process_max_fds')}", EXPORTER)],
            width=6,
        ),
        table(
            "Build",
            "short",
            "What each exporter was built from.",
            own("session_lock_exporter_build_info"),
            hidden=("Value",),
            width=16,
            height=5,
        ),
        stat(
            "Web configuration",
            "bool_yes_no",
            "Whether the web configuration file was usable when last read. No data without such a file.",
            [query(own("session_lock_exporter_web_config_last_reload_successful"), EXPORTER)],
            levels=((None, "red"), (1, "green")),
            width=8,
        ),
    ]


def overview():
    rows = (now, acquires, contention, holds, claims, exporter)
    return dashboard(
        "session-lock",
        "Session locks",
        "Who holds and waits, how long, what was reclaimed and why, and whether it gets worse.",
        STRESS,
        "now-1h",
        [panel for part in rows for panel in part()],
    )
