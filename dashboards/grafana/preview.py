#!/usr/bin/env python3
"""Draws a dashboard's panels from a Prometheus: a look at them where there is no Grafana.

    pip install matplotlib
    grafana/preview.py session-lock.json http://127.0.0.1:9090 preview.png [SECONDS]

The panels are where the dashboard has them, with its expressions, units and legends, over the last SECONDS [default: 600]. What
Grafana alone has (colours by value, links, exemplars) is not there.
"""

import json
import re
import sys
import time
import urllib.parse
import urllib.request

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot, ticker  # noqa: E402

STEP = 5
COLUMNS = 24
UNITS = {"s": " s", "ops": "/s", "reqps": "/s", "percentunit": " %", "bytes": " MiB"}
SCALES = {"percentunit": 100, "bytes": 1 / 2**20}


def ask(server, path, **query):
    url = f"{server}/api/v1/{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)["data"]["result"]


def expression(target, seconds):
    text = target["expr"].replace("$__rate_interval", f"{4 * STEP}s").replace("$__interval", f"{STEP}s")
    text = text.replace("$__range", f"{seconds}s")
    return re.sub(r"\$(job|instance|directory)", ".*", text)


def legend(target, labels):
    form = target.get("legendFormat") or "__auto"
    if form == "__auto":
        return " ".join(value for name, value in sorted(labels.items()) if name not in ("__name__", "job", "instance"))
    text = re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), form)
    return re.sub(r" ?\(.*?\)", "", text)


def curves(axes, server, panel, seconds, scale):
    now = time.time()
    for target in panel["targets"]:
        for series in ask(server, "query_range", query=expression(target, seconds), start=now - seconds, end=now, step=STEP):
            points = [(float(at) - now, float(value) * scale) for at, value in series["values"]]
            axes.plot(*zip(*points), linewidth=1, label=legend(target, series["metric"]))
    axes.set_xlim(-seconds, 0)
    axes.grid(alpha=0.3)
    axes.tick_params(labelsize=6)
    if axes.lines:
        axes.legend(fontsize=5, loc="upper left", ncol=2, framealpha=0.6)


def words(axes, server, panel, seconds, scale, unit):
    lines = []
    for target in panel["targets"]:
        for series in ask(server, "query", query=expression(target, seconds)):
            value = float(series["value"][1]) * scale
            lines.append(f"{value:,.2f}".rstrip("0").rstrip(".") + f"{unit}   {legend(target, series['metric'])}")
    axes.axis("off")
    size = 13 if panel["type"] == "stat" else 7
    axes.text(0.02, 0.9, "\n".join(lines) or "no data", va="top", fontsize=size, transform=axes.transAxes, wrap=True)


def draw(dashboard, server, picture, seconds):
    panels = dashboard["panels"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = pyplot.figure(figsize=(18, rows * 0.38), dpi=80)
    for panel in panels:
        place = panel["gridPos"]
        left, bottom = place["x"] / COLUMNS, 1 - (place["y"] + place["h"]) / rows
        if panel["type"] == "row":
            figure.text(left + 0.01, bottom + 0.2 / rows, panel["title"], fontsize=12, weight="bold")
            continue
        axes = figure.add_axes(
            [left + 0.022, bottom + 0.7 / rows, place["w"] / COLUMNS - 0.03, (place["h"] - 1.7) / rows]
        )
        kind = panel.get("fieldConfig", {}).get("defaults", {}).get("unit", "short")
        unit, scale = UNITS.get(kind, ""), SCALES.get(kind, 1)
        axes.set_title(panel["title"], fontsize=8, loc="left")
        if panel["type"] in ("timeseries", "heatmap"):
            curves(axes, server, panel, seconds, scale)
            axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _, unit=unit: f"{value:g}{unit}"))
        else:
            words(axes, server, panel, seconds, scale, unit)
    figure.savefig(picture)


def main():
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        dashboard = json.load(file)
    draw(dashboard, sys.argv[2].rstrip("/"), sys.argv[3], int(sys.argv[4]) if len(sys.argv) == 5 else 600)


if __name__ == "__main__":
    main()
