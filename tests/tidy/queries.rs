//! PromQL, as far as a rule needs it: which metrics a query names, with which selectors and within
//! which functions. Whether Prometheus accepts the query is for promtool and the end-to-end test.

/// One metric in a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    /// The metric.
    pub metric: String,
    /// What stands in its braces.
    pub selectors: String,
    /// What stands in its brackets, if it is a range.
    pub range: Option<String>,
    /// The functions around it, the innermost last.
    pub functions: Vec<String>,
}

/// Words of the language that are no metric.
const KEYWORDS: [&str; 16] = [
    "and",
    "or",
    "unless",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "offset",
    "bool",
    "inf",
    "nan",
    "start",
    "end",
    "atan2",
];
/// Words whose brackets hold labels.
const LABEL_LISTS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// Every use of a metric in a query.
pub fn uses(query: &str) -> Vec<Use> {
    let mut rest = query;
    let mut uses: Vec<Use> = Vec::new();
    // One entry per open bracket: the function's name, or nothing for a bracket of arithmetic.
    let mut open: Vec<String> = Vec::new();
    while let Some(next) = rest.chars().next() {
        match next {
            '"' | '\'' => rest = after(&rest[1..], next),
            '(' => {
                open.push(String::new());
                rest = &rest[1..];
            }
            ')' => {
                open.pop();
                rest = &rest[1..];
            }
            '[' => rest = after(rest, ']'),
            // A variable, or a number with its unit.
            '$' | '0'..='9' => rest = rest[1..].trim_start_matches(is_word),
            _ if is_word(next) => {
                let end = rest.find(|sign| !is_word(sign)).unwrap_or(rest.len());
                let name = &rest[..end];
                rest = rest[end..].trim_start();
                if LABEL_LISTS.contains(&name) {
                    rest = if rest.starts_with('(') { after(rest, ')') } else { rest };
                } else if rest.starts_with('(') {
                    open.push(name.to_owned());
                    rest = &rest[1..];
                } else if !KEYWORDS.contains(&name.to_lowercase().as_str())
                    && !rest.starts_with("by ")
                    && !rest.starts_with("by(")
                    && !rest.starts_with("without")
                {
                    let functions = open.iter().filter(|name| !name.is_empty()).cloned().collect();
                    let mut found = Use {
                        metric: name.to_owned(),
                        selectors: String::new(),
                        range: None,
                        functions,
                    };
                    if let Some(inner) = rest.strip_prefix('{') {
                        found.selectors = inner.split('}').next().unwrap_or_default().to_owned();
                        rest = after(rest, '}').trim_start();
                    }
                    if let Some(inner) = rest.strip_prefix('[') {
                        found.range = inner.split(']').next().map(str::to_owned);
                    }
                    uses.push(found);
                }
            }
            _ => rest = &rest[next.len_utf8()..],
        }
    }
    uses
}

fn is_word(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || sign == '_' || sign == ':'
}

fn after(text: &str, sign: char) -> &str {
    text.split_once(sign).map_or("", |(_, rest)| rest)
}

#[test]
fn metrics_are_found_among_labels_functions_and_numbers() {
    let names = |query: &str| -> Vec<String> {
        uses(query).into_iter().map(|found| found.metric).collect()
    };
    assert_eq!(
        names("sum by (role) (rate(a_total{x=\"b_total\"}[5m])) / on(role) c * 1e3"),
        ["a_total", "c"]
    );
    assert_eq!(
        names("sum(rate(a[$__rate_interval])) by (le) > bool 5m and time() - d"),
        ["a", "d"]
    );
    let rate = uses("histogram_quantile(0.99, sum by (le) (rate(a_bucket{job=~\"$job\"}[1m])))");
    assert_eq!(
        rate,
        [Use {
            metric: "a_bucket".into(),
            selectors: "job=~\"$job\"".into(),
            range: Some("1m".into()),
            functions: ["histogram_quantile", "rate"].map(str::to_owned).to_vec(),
        }],
    );
}
