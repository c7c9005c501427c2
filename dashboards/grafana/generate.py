#!/usr/bin/env python3
"""Makes the dashboards: dashboards/grafana/generate.py [DIRECTORY], beside itself if not told where.

Generated, because a dashboard says the same of every panel (data source, selectors, links, sizes), and what is said by
hand forty times is said differently once. Needs nothing but Python. Change a panel, run this, and commit what it makes.
"""

import json
import pathlib
import sys

# No bytecode beside the dashboards.
sys.dont_write_bytecode = True

from overview import overview
from stress import stress


def main():
    where = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
    for name, made in (("session-lock", overview()), ("stress", stress())):
        text = json.dumps(made, indent=2, ensure_ascii=False) + "\n"
        (where / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
