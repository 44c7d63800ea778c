//! Pages that mirror code: each metric, denial code and kind of record has its row, and no row is
//! left of one that is gone. Also what holds for every page: one title, links that lead somewhere.

use crate::tables::{Metric, denial_codes, markdown_rows, metrics, record_kinds};
use crate::tree::{File, expect_findings, expect_none, file, files, root};
use std::collections::BTreeSet;

/// Compares the first cells of a page's rows with what the code declares.
fn mirror_findings(page: &File, declared: &[String], cells: usize, from: &str) -> Vec<String> {
    let rows = markdown_rows(&page.text);
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for row in &rows {
        if !declared.contains(&row[0]) {
            findings.push(format!("{}: {from} has no `{}`; remove the row", page.path, row[0]));
        } else if !seen.insert(&row[0]) {
            findings.push(format!("{}: `{}` has two rows; keep one", page.path, row[0]));
        }
        if row.len() != cells || row.iter().any(|cell| cell.is_empty()) {
            findings.push(format!("{}: the row of `{}` needs {cells} cells", page.path, row[0]));
        }
    }
    for name in declared.iter().filter(|name| !seen.contains(name)) {
        findings.push(format!("{}: `{name}` of {from} has no row; add it", page.path));
    }
    findings
}

fn metric_findings(page: &File, metrics: &[Metric], from: &str) -> Vec<String> {
    let names: Vec<String> = metrics.iter().map(|metric| metric.name.clone()).collect();
    let mut findings = mirror_findings(page, &names, 5, from);
    for row in markdown_rows(&page.text) {
        let Some(metric) = metrics.iter().find(|metric| metric.name == row[0]) else { continue };
        let labels = match metric.labels.as_slice() {
            [] => "none".to_owned(),
            labels => labels.join(", "),
        };
        let declared = [&metric.kind, &metric.unit, &labels];
        if row.len() != 5 || declared != [&row[1], &row[2], &row[3]] {
            findings.push(format!(
                "{}: the code declares `{}` as {declared:?} (kind, unit, labels); correct the row",
                page.path, metric.name
            ));
        }
    }
    findings
}

fn page_findings(page: &File, exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut findings = Vec::new();
    let mut in_code = false;
    let mut titles = 0;
    let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    for line in page.text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        titles += usize::from(line.starts_with("# "));
        for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap_or_default();
            let outside = target.is_empty() || target.contains("://");
            let path = if folder.is_empty() { target.into() } else { format!("{folder}/{target}") };
            if !outside && !exists(&path) {
                findings
                    .push(format!("{}: the link to {target} leads nowhere; mend it", page.path));
            }
        }
    }
    if titles != 1 {
        findings.push(format!("{}: {titles} titles (`# `); a page has one", page.path));
    }
    findings
}

#[test]
fn every_denial_code_is_explained() {
    let declared = denial_codes(file("crates/trading/src/denial.rs"));
    assert!(declared.len() >= 25, "{} denial codes were read", declared.len());
    expect_none(&mirror_findings(file("docs/denials.md"), &declared, 3, "denial.rs"));
}

#[test]
fn every_metric_is_explained_as_it_is_declared() {
    let declared = metrics(file("actors/src/runtime/metrics.rs"));
    assert!(declared.len() >= 12, "{} metrics were read", declared.len());
    expect_none(&metric_findings(file("docs/metrics.md"), &declared, "metrics.rs"));
}

#[test]
fn every_kind_of_record_is_explained() {
    let declared = record_kinds(file("crates/desk/src/record.rs"));
    let names: Vec<String> = declared.iter().map(|(_, name)| name.clone()).collect();
    assert!(names.len() >= 30, "{} kinds were read", names.len());
    expect_none(&mirror_findings(file("docs/journal.md"), &names, 3, "record.rs"));
}

#[test]
fn pages_have_one_title_and_links_that_lead_somewhere() {
    let pages = files().iter().filter(|file| file.path.ends_with(".md"));
    let exists = |path: &str| root().join(path).exists();
    expect_none(&pages.flat_map(|page| page_findings(page, &exists)).collect::<Vec<_>>());
}

#[test]
fn the_rules_about_mirrors_find_bad_samples() {
    let text = "# Codes\n| code | a | b |\n|---|---|---|\n| `ONE` | x | y |\n| `ONE` | x | y |\n\
                | `GONE` | x | y |\n| `TWO` | x |\n";
    let page = File::sample("docs/codes.md", text);
    let declared = ["ONE", "TWO", "THREE"].map(str::to_owned);
    let parts = ["two rows", "no `GONE`", "needs 3 cells", "`THREE`"];
    expect_findings(&mirror_findings(&page, &declared, 3, "code.rs"), &parts);

    let code = "table! { A, \"a_total\", COUNTER, Count, [\"x\", \"y\"], \"as\"; \
                B, \"b\", Kind::Histogram(X), Seconds, [], \"bs; and, more\"; }";
    let registry = metrics(&File::sample("metrics.rs", code));
    let good =
        "| `a_total` | counter | count | x, y | as |\n| `b` | histogram | seconds | none | b |";
    expect_none(&metric_findings(&File::sample("m.md", good), &registry, "code"));
    let bad = good.replace("x, y", "x").replace("histogram", "gauge");
    let parts = ["declares `a_total`", "declares `b`"];
    expect_findings(&metric_findings(&File::sample("m.md", &bad), &registry, "code"), &parts);
}

#[test]
fn the_rules_about_pages_find_bad_samples() {
    let text = "# One\n[a](there.md#part) [b](gone.md) [c](https://x.org/y)\n\
                ```\n# no title\n```\n# Two\n";
    let exists = |path: &str| path == "docs/there.md";
    let findings = page_findings(&File::sample("docs/page.md", text), &exists);
    expect_findings(&findings, &["gone.md", "2 titles"]);
}
