//! Dashboards and alert rules name only metrics that the node declares, in the shape that Grafana's
//! own linter asks for. Whether a query returns data is for the end-to-end test with Prometheus.

use crate::queries::{Use, uses};
use crate::tables::{Metric, metrics};
use crate::tree::{File, expect_findings, expect_none, file, files};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Functions in which a counter makes sense; its bare value depends on when the process started.
const OVER_COUNTERS: [&str; 5] = ["rate", "irate", "increase", "changes", "resets"];
/// Metrics that Prometheus makes itself.
const OF_PROMETHEUS: [&str; 2] = ["up", "ALERTS"];

/// The metric that a name in a query belongs to: `x_bucket` is a series of the histogram `x`.
fn declared<'a>(name: &str, metrics: &'a [Metric]) -> Option<&'a Metric> {
    metrics.iter().find(|metric| {
        let series = metric.kind == "histogram"
            && ["_bucket", "_sum", "_count"]
                .iter()
                .any(|suffix| name.strip_suffix(suffix) == Some(&metric.name));
        (metric.kind != "histogram" && metric.name == name) || series
    })
}

fn query_findings(place: &str, query: &str, metrics: &[Metric], variables: bool) -> Vec<String> {
    let mut findings = Vec::new();
    let mut find = |what: String| findings.push(format!("{place}: {what} (in `{query}`)"));
    if query.replace(' ', "").contains("orvector(0)") {
        find("`or vector(0)` draws a metric that nobody sends; set it to zero in the node".into());
    }
    let found: Vec<Use> = uses(query);
    if found.is_empty() {
        find("names no metric; ask for one".into());
    }
    for one in found.iter().filter(|one| !OF_PROMETHEUS.contains(&one.metric.as_str())) {
        let name = &one.metric;
        let Some(metric) = declared(name, metrics) else {
            find(format!("the node declares no `{name}`; take a name of docs/metrics.md"));
            continue;
        };
        let counts = metric.kind != "gauge";
        if counts && !one.functions.iter().any(|name| OVER_COUNTERS.contains(&name.as_str())) {
            find(format!("`{name}` only grows; ask for its rate or increase"));
        }
        if let Some(range) = one.range.as_ref().filter(|_| variables) {
            let fits = ["$__rate_interval", "$__range"].contains(&range.as_str());
            if counts && !fits {
                find(format!("`{name}[{range}]` fits one zoom only; use $__rate_interval"));
            }
        }
        for selector in ["job=~\"$job\"", "instance=~\"$instance\""] {
            if variables && !one.selectors.contains(selector) {
                find(format!("`{name}` is not limited to the chosen node; add {selector}"));
            }
        }
    }
    findings
}

fn dashboard_findings(path: &str, dashboard: &Value, metrics: &[Metric]) -> Vec<String> {
    let mut findings = Vec::new();
    let mut find = |what: String| findings.push(format!("{path}: {what}"));
    if dashboard["uid"].as_str().is_none_or(str::is_empty) || !dashboard["id"].is_null() {
        find("needs a fixed uid and a null id, so that links survive".into());
    }
    if dashboard["editable"] != json!(false) {
        find("must not be editable; the file is the only truth".into());
    }
    let variables = dashboard["templating"]["list"].as_array().cloned().unwrap_or_default();
    for name in ["datasource", "job", "instance"] {
        if !variables.iter().any(|variable| variable["name"] == json!(name)) {
            find(format!("has no variable `{name}`; add it"));
        }
    }
    let mut ids = BTreeSet::new();
    for panel in panels(dashboard) {
        let place = format!("{path}: panel `{}`", panel["title"].as_str().unwrap_or("untitled"));
        if !ids.insert(panel["id"].as_u64()) {
            findings.push(format!("{place}: its id is taken; give it another"));
        }
        if panel["type"] == json!("row") || panel["type"] == json!("text") {
            continue;
        }
        let described = panel["description"].as_str().is_some_and(|text| text.len() > 15);
        if panel["title"].as_str().is_none_or(str::is_empty) || !described {
            findings.push(format!("{place}: needs a title and a description of what is normal"));
        }
        if panel["datasource"]["uid"] != json!("${datasource}") {
            findings.push(format!("{place}: its datasource must be ${{datasource}}"));
        }
        if panel["fieldConfig"]["defaults"]["unit"].as_str().is_none_or(str::is_empty) {
            findings.push(format!("{place}: needs a unit"));
        }
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        if targets.is_empty() {
            findings.push(format!("{place}: asks nothing; give it a query"));
        }
        for target in targets {
            let query = target["expr"].as_str().unwrap_or_default();
            findings.extend(query_findings(&place, query, metrics, true));
        }
    }
    for annotation in dashboard["annotations"]["list"].as_array().unwrap_or(&Vec::new()) {
        if let Some(query) = annotation["expr"].as_str() {
            let place = format!("{path}: annotation `{}`", annotation["name"]);
            findings.extend(query_findings(&place, query, metrics, true));
        }
    }
    findings
}

fn panels(dashboard: &Value) -> Vec<Value> {
    let mut panels = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap_or(&Vec::new()) {
        panels.extend(panel["panels"].as_array().cloned().unwrap_or_default());
        panels.push(panel.clone());
    }
    panels
}

/// The queries of a rule file: what stands behind `expr:`, on the line or indented below it.
fn rule_queries(rules: &File) -> Vec<(String, String)> {
    let lines: Vec<&str> = rules.text.lines().collect();
    let mut queries = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((indent, query)) = line.split_once("expr:") else { continue };
        let deep = |line: &&&str| line.len() - line.trim_start().len() > indent.len();
        let below = lines[at + 1..].iter().take_while(deep).copied().collect::<Vec<_>>().join(" ");
        let inline = query.trim();
        let query =
            if [">-", ">", "|", "|-"].contains(&inline) { below } else { inline.to_owned() };
        queries.push((format!("{}:{}", rules.path, at + 1), query));
    }
    queries
}

#[test]
fn dashboards_ask_for_declared_metrics_in_the_house_form() {
    let metrics = metrics(file("actors/src/runtime/metrics.rs"));
    let dashboards = files().iter().filter(|file| {
        file.path.starts_with("grafana/dashboards/") && file.path.ends_with(".json")
    });
    let mut findings = Vec::new();
    let mut uids = BTreeSet::new();
    for dashboard in dashboards {
        let parsed = serde_json::from_str(&dashboard.text);
        let parsed: Value = parsed.unwrap_or_else(|error| panic!("{}: {error}", dashboard.path));
        findings.extend(dashboard_findings(&dashboard.path, &parsed, &metrics));
        assert!(uids.insert(parsed["uid"].to_string()), "{}: its uid is taken", dashboard.path);
    }
    assert!(!uids.is_empty(), "grafana/dashboards has no dashboard");
    expect_none(&findings);
}

#[test]
fn alert_rules_ask_for_declared_metrics() {
    let metrics = metrics(file("actors/src/runtime/metrics.rs"));
    let queries = rule_queries(file("grafana/prometheus/rules.yml"));
    assert!(queries.len() >= 5, "{} rules were read", queries.len());
    let findings =
        queries.iter().flat_map(|(place, query)| query_findings(place, query, &metrics, false));
    expect_none(&findings.collect::<Vec<_>>());
}

fn sample_metrics() -> Vec<Metric> {
    let metric = |name: &str, kind: &str| Metric {
        constant: name.to_uppercase(),
        name: name.into(),
        kind: kind.into(),
        unit: "count".into(),
        labels: Vec::new(),
    };
    vec![metric("a_total", "counter"), metric("b", "gauge"), metric("c_seconds", "histogram")]
}

#[test]
fn the_rules_about_queries_find_bad_samples() {
    let check = |query: &str, parts: &[&str]| {
        expect_findings(&query_findings("here", query, &sample_metrics(), false), parts);
    };
    check("rate(a_total[5m]) > 0 and b < 1 and up == 1", &[]);
    check("a_total > 0", &["only grows"]);
    check("rate(c_seconds_bucket[5m])", &[]);
    check("c_seconds", &["declares no `c_seconds`"]);
    check("typo_total", &["declares no `typo_total`"]);
    check("b or vector(0)", &["or vector(0)"]);
    check("5 > 3", &["no metric"]);
    let rules = "- alert: A\n  expr: b > 1\n- alert: B\n  expr: >-\n    b\n    > 2\n  for: 1m\n";
    let queries = rule_queries(&File::sample("r.yml", rules));
    let queries: Vec<&str> = queries.iter().map(|(_, query)| query.trim()).collect();
    assert_eq!(queries, ["b > 1", "b     > 2"]);
}

#[test]
fn the_rules_about_dashboards_find_bad_samples() {
    let chosen = "job=~\"$job\", instance=~\"$instance\"";
    let good = json!({
        "id": null, "uid": "x", "editable": false,
        "templating": {"list": [{"name": "datasource"}, {"name": "job"}, {"name": "instance"}]},
        "panels": [{
            "id": 1, "type": "stat", "title": "A", "description": "normally above zero",
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "fieldConfig": {"defaults": {"unit": "short"}},
            "targets": [{"expr": format!("rate(a_total{{{chosen}}}[$__rate_interval])")}],
        }],
    });
    let find = |dashboard: &Value| dashboard_findings("d.json", dashboard, &sample_metrics());
    expect_none(&find(&good));
    let broken = |pointer: &str, value: Value, parts: &[&str]| {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).expect("the sample has it") = value;
        expect_findings(&find(&bad), parts);
    };
    broken("/uid", json!(""), &["fixed uid"]);
    broken("/editable", json!(true), &["editable"]);
    broken("/templating/list/1", json!({"name": "other"}), &["variable `job`"]);
    broken("/panels/0/description", json!(""), &["description"]);
    broken("/panels/0/datasource/uid", json!("prometheus"), &["${datasource}"]);
    broken("/panels/0/fieldConfig/defaults", json!({}), &["unit"]);
    broken("/panels/0/targets", json!([]), &["asks nothing"]);
    broken("/panels/0/targets/0/expr", json!("b"), &["$job", "$instance"]);
    let fixed = json!(format!("rate(a_total{{{chosen}}}[5m])"));
    broken("/panels/0/targets/0/expr", fixed, &["$__rate_interval"]);
}
