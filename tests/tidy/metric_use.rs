//! A metric that is declared and never sent is an empty panel; each constant is used somewhere.

use crate::syntax::{each_sequence, is_sign, lex, word};
use crate::tables::{Metric, metrics};
use crate::tree::{File, expect_findings, expect_none, file, files};
use std::collections::BTreeSet;

const REGISTRY: &str = "actors/src/runtime/metrics.rs";

fn findings(declared: &[Metric], files: &[&File]) -> Vec<String> {
    let mut used = BTreeSet::new();
    for file in files {
        each_sequence(lex(file), &mut |trees| {
            for at in 3..trees.len() {
                let in_registry = word(trees, at - 3).as_deref() == Some("metrics")
                    && is_sign(trees, at - 2, ':')
                    && is_sign(trees, at - 1, ':');
                used.extend(word(trees, at).filter(|_| in_registry));
            }
        });
    }
    let unused = declared.iter().filter(|metric| !used.contains(&metric.constant));
    unused
        .map(|metric| {
            format!(
                "{REGISTRY}: nobody sends `{}`; use metrics::{} or remove it with its panels",
                metric.name, metric.constant
            )
        })
        .collect()
}

#[test]
fn every_metric_is_sent_by_someone() {
    let code = |file: &&File| {
        file.is_rust()
            && file.path != REGISTRY
            && ["actors/src/", "src/"].iter().any(|folder| file.path.starts_with(folder))
    };
    expect_none(&findings(
        &metrics(file(REGISTRY)),
        &files().iter().filter(code).collect::<Vec<_>>(),
    ));
}

#[test]
fn the_rule_about_unused_metrics_finds_a_bad_sample() {
    let table = "table! { A, \"a\", GAUGE, Count, [], \"a\"; B, \"b\", GAUGE, Count, [], \"b\"; }";
    let declared = metrics(&File::sample("metrics.rs", table));
    let code = File::sample("actors/src/x.rs", "// metrics::B\nfn f() { metrics::A.gauge(&[]); }");
    expect_findings(&findings(&declared, &[&code]), &["metrics::B"]);
}
