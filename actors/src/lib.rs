//! Who runs each machine, who restarts it, in what order; one role per file; no arithmetic.
//!
//! `runtime` hosts, supervises and addresses roles and knows nothing of trading; the roles beside
//! it are shells around the machines of `crates/` and decide nothing themselves.

pub mod runtime;
