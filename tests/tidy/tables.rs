//! The tables that the code declares (metrics, denial codes, record kinds) and the tables of
//! Markdown, both as rows of words.

use crate::syntax::{group, is_sign, macro_body, string, word};
use crate::tree::File;
use proc_macro2::TokenTree;

/// One metric as the registry declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The name in the code.
    pub constant: String,
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    pub unit: String,
    pub labels: Vec<String>,
}

/// The rows of `table!` in the metric registry.
#[track_caller]
pub fn metrics(registry: &File) -> Vec<Metric> {
    let body = macro_body(registry, "table");
    let rows = body.split(|tree| matches!(tree, TokenTree::Punct(sign) if sign.as_char() == ';'));
    let rows = rows.filter(|row| !row.is_empty()).map(|row| {
        let metric = metric(row);
        metric.unwrap_or_else(|| {
            panic!("{}: a row of table! has another shape: {row:?}", registry.path)
        })
    });
    rows.collect()
}

fn metric(row: &[TokenTree]) -> Option<Metric> {
    let columns: Vec<&[TokenTree]> =
        row.split(|tree| matches!(tree, TokenTree::Punct(sign) if sign.as_char() == ',')).collect();
    let kind = match word(columns.get(2)?, 0)?.as_str() {
        "COUNTER" => "counter",
        "GAUGE" => "gauge",
        _ => "histogram",
    };
    let labels: Vec<TokenTree> = group(columns.get(4)?, 0)?.into_iter().collect();
    Some(Metric {
        constant: word(columns[0], 0)?,
        name: string(columns[1], 0)?,
        kind: kind.to_owned(),
        unit: word(columns[3], 0)?.to_lowercase(),
        labels: (0..labels.len()).filter_map(|at| string(&labels, at)).collect(),
    })
}

/// The codes of `denial_codes!`, in order.
#[track_caller]
pub fn denial_codes(file: &File) -> Vec<String> {
    let body = macro_body(file, "denial_codes");
    let arrow = |at: usize| is_sign(&body, at, '=') && is_sign(&body, at + 1, '>');
    (0..body.len()).filter(|at| arrow(*at)).filter_map(|at| string(&body, at + 2)).collect()
}

/// The kinds of `kinds!`: number and name, in order.
#[track_caller]
pub fn record_kinds(file: &File) -> Vec<(String, String)> {
    let body = macro_body(file, "kinds");
    let numbered = |at: usize| -> Option<(String, String)> {
        let name = word(&body, at).filter(|_| is_sign(&body, at + 1, '='))?;
        Some((body.get(at + 2)?.to_string(), name))
    };
    (0..body.len()).filter_map(numbered).collect()
}

/// The rows of a Markdown file's tables whose first cell is in backticks; cells without backticks.
pub fn markdown_rows(text: &str) -> Vec<Vec<String>> {
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let cells = |line: &str| -> Vec<String> {
        let inner = line.trim().trim_matches('|');
        inner.split(" | ").map(|cell| cell.trim().replace('`', "")).collect()
    };
    rows.map(cells).collect()
}
