//! Hygiene of the tree: what a review would otherwise have to say again and again.
//!
//! Each rule is a pure function from files to findings, so that it can prove itself on a bad sample
//! beside it; a finding names the place and says the fix. Rust is read by a lexer, not by searching
//! text, so neither a string nor a comment trips a rule about code. What needs a running node
//! (metrics at Prometheus, panels with data) is left to the end-to-end tests.

#[path = "tidy/clippy_zones.rs"]
mod clippy_zones;
#[path = "tidy/dashboards.rs"]
mod dashboards;
#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/edges.rs"]
mod edges;
#[path = "tidy/journal_kinds.rs"]
mod journal_kinds;
#[path = "tidy/layout.rs"]
mod layout;
#[path = "tidy/metric_use.rs"]
mod metric_use;
#[path = "tidy/queries.rs"]
mod queries;
#[path = "tidy/syntax.rs"]
mod syntax;
#[path = "tidy/tables.rs"]
mod tables;
#[path = "tidy/tree.rs"]
mod tree;
#[path = "tidy/words.rs"]
mod words;
