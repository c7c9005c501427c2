"""What the dashboards are made of: queries, links, panels, and a dashboard around them."""

import json
import urllib.parse

WIDTH = 24
SELECTED = 'job=~"$job", instance=~"$instance", directory=~"$directory"'
OF_EXPORTER = 'job=~"$job", instance=~"$instance"'
PROMETHEUS = {"type": "prometheus", "uid": "$datasource"}
ACQUIRED = ('outcome="acquired"',)
NOT_ACQUIRED = ('outcome=~"timeout|cancelled|error"',)
WAIT = "session_lock_wait_seconds"
HOLD = "session_lock_hold_seconds"


# --- Queries ---------------------------------------------------------------------------------------------------------


def selected(metric, *matchers):
    return f"{metric}{{{', '.join((SELECTED, *matchers))}}}"


def per(*labels):
    """By exporter and directory: two exporters of one directory serve the same totals, which must not be added up."""
    return f"by ({', '.join(('job', 'instance', 'directory', *labels))})"


def rate(metric, *labels, only=()):
    return f"sum {per(*labels)} (rate({selected(metric, *only)}[$__rate_interval]))"


def increase(metric, *labels, only=()):
    return f"sum {per(*labels)} (increase({selected(metric, *only)}[$__range]))"


def gauge(metric, *labels, only=()):
    return f"max {per(*labels)} ({selected(metric, *only)})"


def quantile(share, metric, only=()):
    return f"histogram_quantile({share}, {rate(metric + '_bucket', 'le', only=only)})"


def legend(*labels):
    return " ".join(["{{directory}}", *(f"{{{{{label}}}}}" for label in labels), "({{instance}})"])


def query(expression, name, **more):
    return {"expr": expression, "legendFormat": name, **more}


def by(expression, *labels):
    return [query(expression, legend(*labels))]


def quantiles(metric, only=()):
    return [
        query(quantile(share, metric, only), f"{legend()} {name}", exemplar=True)
        for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
    ]


# --- Links -----------------------------------------------------------------------------------------------------------


def link(title, url):
    return {"title": title, "url": url, "targetBlank": True}


def explore(traceql):
    pane = {
        "datasource": "${tempo}",
        "queries": [
            {"refId": "A", "datasource": {"type": "tempo", "uid": "${tempo}"}, "queryType": "traceql", "query": traceql}
        ],
        "range": {"from": "${__from}", "to": "${__to}"},
    }
    # Grafana's variables keep their dollars and braces.
    panes = urllib.parse.quote(json.dumps({"traces": pane}, separators=(",", ":")), safe="${}")
    return f"/explore?schemaVersion=1&panes={panes}"


def dashboard_link(title, uid):
    kept = "&".join(
        f"${{{name}:queryparam}}" for name in ("datasource", "tempo", "job", "instance", "directory", "exporter")
    )
    return link(title, f"/d/{uid}?{kept}&${{__url_time_range}}")


LOCKS = link("Who holds what: the exporter's page", "${exporter}/")
LOCK = link(
    "This lock: the exporter's page",
    "${exporter}/lock?directory=${__data.fields.directory:percentencode}&session=${__data.fields.session:percentencode}",
)
WAITING = link("Who waits for whom", "${exporter}/api/v1/contention")
ACQUIRES = link("Traces of acquires", explore('{ name = "session_lock.acquire" }'))
HOLDS = link("Traces of holds", explore('{ name = "session_lock.hold" }'))
OVERVIEW = dashboard_link("Session locks", "session-lock")
STRESS = dashboard_link("Stress runs", "session-lock-stress")


# --- Panels ----------------------------------------------------------------------------------------------------------


def panel(
    kind, title, unit, description, targets, width=8, height=8, links=(LOCKS,), options=None, custom=None, more=None
):
    letters = "ABCDEFGH"[: len(targets)]
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": PROMETHEUS,
        "gridPos": {"w": width, "h": height},
        "targets": [
            {"refId": letter, "datasource": PROMETHEUS, **target}
            for letter, target in zip(letters, targets, strict=True)
        ],
        "options": options or {},
        "fieldConfig": {
            "defaults": {"unit": unit, "links": list(links), "custom": custom or {}, **(more or {})},
            "overrides": [],
        },
    }


def series(title, unit, description, targets, stacked=False, **more):
    custom = {
        "fillOpacity": 20 if stacked else 5,
        "showPoints": "auto",
        "stacking": {"mode": "normal" if stacked else "none"},
    }
    options = {
        "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"], "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel(
        "timeseries", title, unit, description, targets, options=options, custom=custom, more={"min": 0}, **more
    )


def steps(*pairs):
    return {"thresholds": {"mode": "absolute", "steps": [{"color": color, "value": value} for value, color in pairs]}}


def stat(title, unit, description, targets, levels=((None, "text"),), **more):
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area",
        "textMode": "auto",
    }
    more.setdefault("width", 4)
    return panel("stat", title, unit, description, targets, height=5, options=options, more=steps(*levels), **more)


def table(title, unit, description, expression, hidden=(), **more):
    made = panel(
        "table",
        title,
        unit,
        description,
        [query(expression, "__auto", instant=True, range=False, format="table")],
        **more,
    )
    exclude = {name: True for name in ("Time", "__name__", *hidden)}
    made["transformations"] = [{"id": "organize", "options": {"excludeByName": exclude}}]
    return made


def heatmap(title, unit, description, expression, **more):
    options = {
        "calculate": False,
        "yAxis": {"unit": unit},
        "color": {"mode": "scheme", "scheme": "Oranges"},
        "exemplars": {"color": "blue"},
    }
    target = query(expression, "{{le}}", format="heatmap", exemplar=True)
    return panel("heatmap", title, unit, description, [target], options=options, **more)


def row(title):
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": WIDTH, "h": 1}}


def contended_acquires():
    return series(
        "Contended acquires",
        "ops",
        "Acquires that found the lock taken, by the kind of holder in the way.",
        by(rate("session_lock_contended_total", "by"), "by"),
        stacked=True,
        links=(WAITING, ACQUIRES),
    )


def placed(panels):
    """Left to right, a new line where the next one does not fit; and each with its number."""
    x = y = tallest = 0
    for number, one in enumerate(panels, start=1):
        size = one["gridPos"]
        if x + size["w"] > WIDTH:
            x, y, tallest = 0, y + tallest, 0
        one["id"] = number
        one["gridPos"] = {"h": size["h"], "w": size["w"], "x": x, "y": y}
        x, tallest = x + size["w"], max(tallest, size["h"])
    return panels


# --- Dashboards ------------------------------------------------------------------------------------------------------


def source_variable(name, label, kind):
    return {
        "name": name,
        "label": label,
        "type": "datasource",
        "query": kind,
        "refresh": 1,
        "includeAll": False,
        "multi": False,
        "hide": 0,
    }


def label_variable(name, label, matchers):
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": PROMETHEUS,
        "query": {"query": f"label_values(session_lock_exporter_up{{{matchers}}}, {name})", "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 0,
    }


def variables():
    url = "http://localhost:15625"
    exporter = {"name": "exporter", "label": "Exporter's address", "type": "textbox", "query": url, "hide": 0}
    exporter["current"] = {"text": url, "value": url}
    exporter["description"] = "For links: where a browser reaches the exporter."
    return [
        source_variable("datasource", "Data source", "prometheus"),
        source_variable("tempo", "Traces", "tempo"),
        label_variable("job", "Job", ""),
        label_variable("instance", "Instance", 'job=~"$job"'),
        label_variable("directory", "Directory", OF_EXPORTER),
        exporter,
    ]


def dashboard(uid, title, description, other, since, panels):
    annotation = {
        "name": "Alerts",
        "enable": True,
        "iconColor": "red",
        "datasource": PROMETHEUS,
        "expr": 'ALERTS{alertname=~"SessionLock.+", alertstate="firing"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{directory}} {{instance}}",
    }
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["session-lock"],
        "editable": False,
        "schemaVersion": 39,
        "version": 1,
        "timezone": "browser",
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": since, "to": "now"},
        "links": [{"type": "link", "icon": "dashboard", **other}],
        "annotations": {"list": [annotation]},
        "templating": {"list": variables()},
        "panels": placed(panels),
    }
