#!/usr/bin/env python3
"""Asks a Prometheus for everything that a Grafana dashboard would ask it.

Expands Grafana's macros and variables as Grafana does, runs the query of every panel and every
annotation through /api/v1/query_range and prints one JSON object:

    {"panels": {title: {"series": n, "last": {legend: value}, "error": text or null}}, ...}

Exit 1 names the panels that have an error or no data (annotations may be empty: nothing happened).
Standard library only, so that it runs wherever Prometheus does.

    panels.py http://127.0.0.1:9090 grafana/dashboards/optionsib.json --job optionsib
"""

import argparse
import json
import math
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request


def expand(query, job, instance, step_s, window_s, scrape_s):
    """Replaces what Grafana replaces before it asks."""
    rate = max(4 * scrape_s, step_s + scrape_s)
    values = {
        "__rate_interval": f"{rate}s",
        "__interval": f"{step_s}s",
        "__range": f"{window_s}s",
        "job": job,
        "instance": instance,
    }
    pattern = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))")

    def value(match):
        name = match.group(1) or match.group(2)
        if name not in values:
            raise ValueError(f"variable ${name} is not known to this script")
        return values[name]

    return pattern.sub(value, query)


def ask(url, query, start, end, step_s):
    """The series of a range query; raises RuntimeError with Prometheus' own words."""
    form = {"query": query, "start": start, "end": end, "step": step_s}
    body = urllib.parse.urlencode(form).encode()
    request = urllib.request.Request(url.rstrip("/") + "/api/v1/query_range", data=body)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            reply = json.load(answer)
    except urllib.error.HTTPError as error:
        raise RuntimeError(error.read().decode(errors="replace")) from error
    except OSError as error:
        raise RuntimeError(f"{url} can't be asked: {error}") from error
    if reply.get("status") != "success":
        raise RuntimeError(json.dumps(reply))
    return reply["data"]["result"]


def panels(dashboard):
    """Every panel that asks something, those inside rows too."""
    for panel in dashboard.get("panels", []):
        yield from panels(panel)
        if panel.get("targets"):
            yield panel


def legend(target, labels):
    """The name that Grafana gives a series."""
    form = target.get("legendFormat") or json.dumps(labels, sort_keys=True)
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: labels.get(match.group(1), ""), form)


def finite(text):
    """A number that JSON can carry: NaN is no data (a quantile without samples)."""
    number = float(text)
    return number if math.isfinite(number) else None


def examine(targets, run):
    """Runs targets; gives the number of series, the last values and the first error."""
    found = {"series": 0, "last": {}, "error": None}
    for target in targets:
        try:
            result = run(target["expr"])
        except (RuntimeError, ValueError) as error:
            found["error"] = found["error"] or f"{target['expr']}: {error}"
            continue
        for series in result:
            values = [finite(value) for _, value in series["values"]]
            values = [value for value in values if value is not None]
            if values:
                found["series"] += 1
                found["last"][legend(target, series["metric"])] = values[-1]
    return found


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="Prometheus, such as http://127.0.0.1:9090")
    parser.add_argument("dashboard", help="the dashboard's JSON file")
    parser.add_argument("--job", default=".+", help="value of $job, a regular expression")
    parser.add_argument("--instance", default=".+", help="value of $instance")
    parser.add_argument("--window", type=int, default=120, help="seconds back from now")
    parser.add_argument("--step", type=int, default=1, help="seconds between points")
    parser.add_argument("--scrape", type=int, default=1, help="scrape interval, seconds")
    parser.add_argument(
        "--may-be-empty", action="append", default=[], metavar="TITLE",
        help="a panel that has data only after something happened; repeat for several",
    )
    given = parser.parse_args(arguments)
    with open(given.dashboard, encoding="utf-8") as file:
        dashboard = json.load(file)
    end = time.time()

    def run(query):
        expanded = expand(
            query, given.job, given.instance, given.step, given.window, given.scrape
        )
        return ask(given.url, expanded, end - given.window, end, given.step)

    report = {"panels": {}, "annotations": {}}
    failed = []
    for panel in panels(dashboard):
        title = panel["title"]
        found = report["panels"][title] = examine(panel["targets"], run)
        if found["error"] or (not found["series"] and title not in given.may_be_empty):
            failed.append(title)
    for annotation in dashboard.get("annotations", {}).get("list", []):
        if annotation.get("expr"):
            name = annotation["name"]
            target = {"expr": annotation["expr"], "legendFormat": annotation.get("titleFormat")}
            found = report["annotations"][name] = examine([target], run)
            if found["error"]:
                failed.append(f"annotation {name}")
    unknown = set(given.may_be_empty) - set(report["panels"])
    failed.extend(f"no such panel: {title}" for title in sorted(unknown))
    report["failed"] = failed
    json.dump(report, sys.stdout, indent=2, sort_keys=True)
    print()
    if failed:
        print("without data or with an error: " + ", ".join(failed), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
