//! Every metric of the node, declared once: name, kind, unit, labels, help.
//!
//! Dashboards and alert rules are checked against [`ALL`]. Labels come from bounded sets. Shells
//! take their handles once, at start; crates return counts and never touch the facade. Where the
//! numbers are served is the node's business. A new metric is one row in the table below.

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Unit};

/// How a metric counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts per bucket; these are the upper bounds, in the metric's unit.
    Histogram(&'static [f64]),
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Its name at Prometheus.
    pub name: &'static str,
    /// How it counts.
    pub kind: Kind,
    /// What it counts.
    pub unit: Unit,
    /// The names of its labels, in the order in which values are given.
    pub labels: &'static [&'static str],
    /// One sentence for people.
    pub help: &'static str,
}

/// Seconds from a microsecond to ten: what a handler or a restart takes.
pub const SECONDS_BUCKETS: &[f64] =
    &[1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0];

const COUNTER: Kind = Kind::Counter;
const GAUGE: Kind = Kind::Gauge;
const SECONDS: Kind = Kind::Histogram(SECONDS_BUCKETS);

/// A macro so that a metric is one row that can't be left out of [`ALL`].
macro_rules! table {
    ($($constant:ident, $name:literal, $kind:expr, $unit:ident, $labels:expr, $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric = Metric {
                name: $name, kind: $kind, unit: Unit::$unit, labels: &$labels, help: $help,
            };
        )*
        /// Every metric of the node.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
}

table! {
    ACTOR_HANDLED, "optionsib_actor_handled_total", COUNTER, Count, ["role"],
        "messages and wake-ups handled";
    ACTOR_SECONDS, "optionsib_actor_handler_seconds", SECONDS, Seconds, ["role"],
        "time in the handler";
    ACTOR_QUEUE, "optionsib_actor_queue_depth", GAUGE, Count, ["role"],
        "messages queued or in hand";
    ACTOR_RESTARTS, "optionsib_actor_restarts_total", COUNTER, Count, ["role"],
        "restarts after failures";
    ACTOR_UP, "optionsib_actor_up", GAUGE, Count, ["role"],
        "1 while an incarnation takes messages";
    ACTOR_GENERATION, "optionsib_actor_generation", GAUGE, Count, ["role"],
        "number of the present incarnation";
    ACTOR_READY, "optionsib_actor_ready", GAUGE, Count, ["role"],
        "1 while the role has what it needs";
    ACTOR_QUARANTINED, "optionsib_actor_quarantined", GAUGE, Count, ["role"],
        "1 while the role is down until revived";
    ACTOR_UNKILLABLE, "optionsib_actor_unkillable_total", COUNTER, Count, ["role"],
        "kills that did not end the role in time";
    ACTOR_RECOVERY, "optionsib_actor_recovery_seconds", SECONDS, Seconds, ["role"],
        "from the failure until the next incarnation takes messages";
    CHAOS_INJECTIONS, "optionsib_chaos_injections_total", COUNTER, Count, ["role", "fault"],
        "faults injected";
    WATCHDOG_TRIPS, "optionsib_watchdog_trips_total", COUNTER, Count, ["cause"],
        "halts tripped by the watchdog thread";
    ORDERS, "optionsib_orders_total", COUNTER, Count, ["event"],
        "steps of orders: sent, acknowledged, filled, canceled, rejected, unknown and more";
    FILLS, "optionsib_fills_total", COUNTER, Count, [],
        "executions booked";
    INTENTS, "optionsib_intents_total", COUNTER, Count, ["outcome"],
        "intents judged: approved or denied";
    DENIALS, "optionsib_denials_total", COUNTER, Count, ["code"],
        "intents denied, by code";
    OPEN_ORDERS, "optionsib_open_orders", GAUGE, Count, [],
        "orders that are not in an end state";
    UNKNOWN_ORDERS, "optionsib_unknown_orders", GAUGE, Count, [],
        "orders sent whose fate is not known";
    OPEN_POSITIONS, "optionsib_open_positions", GAUGE, Count, [],
        "instruments held";
    PNL, "optionsib_pnl_dollars", GAUGE, Count, ["component"],
        "realised, unrealised, fees or cash, in dollars";
    LIMIT_USED, "optionsib_limit_used_ratio", GAUGE, Count, ["limit"],
        "worst case over the bound of each limit: 1 is at the bound";
    TRADING_STATE, "optionsib_trading_state", GAUGE, Count, [],
        "strictest state: 0 active, 1 reduce only, 2 halted";
    LINK_STATE, "optionsib_link_state", GAUGE, Count, [],
        "broker link: 0 down up to 4 ready, 5 degraded, 6 needs a person";
    BROKER_DOWNTIME, "optionsib_broker_downtime", GAUGE, Count, [],
        "expected downtime of the broker: 0 none, 1 near (no entries), 2 due";
    READY, "optionsib_ready", GAUGE, Count, [],
        "1 while the node may trade";
    HALTS, "optionsib_halts_total", COUNTER, Count, [],
        "halts tripped, by whomever";
    RECONCILIATIONS, "optionsib_reconciliations_total", COUNTER, Count, ["outcome"],
        "reconciliations ended: balanced, unresolved, stirred or incomplete";
    BREAKS, "optionsib_breaks", GAUGE, Count, [],
        "differences with the broker that no event explains, in the last complete reconciliation";
    VIOLATIONS, "optionsib_violations_total", COUNTER, Count, ["invariant"],
        "promises found broken by the auditor";
    CHECKS, "optionsib_checks_total", COUNTER, Count, ["invariant"],
        "evaluations by the auditor";
    JOURNAL_DURABLE, "optionsib_journal_durable_seq", GAUGE, Count, [],
        "last record that is on disk";
    JOURNAL_WAITING, "optionsib_journal_waiting_records", GAUGE, Count, [],
        "records that are not durable";
    JOURNAL_SYNC, "optionsib_journal_sync_seconds", SECONDS, Seconds, [],
        "time to make a batch durable";
    SNAPSHOT, "optionsib_snapshot_seq", GAUGE, Count, [],
        "last record that a snapshot contains";
    QUOTES, "optionsib_quotes_total", COUNTER, Count, ["product"],
        "quotes taken from the feed";
    QUOTE_FLAWS, "optionsib_quote_flaws_total", COUNTER, Count, ["product", "flaw"],
        "quotes that a quality gate stopped";
    IMPLIED_VOLS, "optionsib_implied_vols_total", COUNTER, Count, ["product"],
        "implied vols solved";
    VIEW_AGE, "optionsib_view_age_seconds", GAUGE, Seconds, ["product"],
        "age of the published market view";
    SURFACES, "optionsib_surfaces_total", COUNTER, Count, ["product", "outcome"],
        "fits of the volatility surface: published or refused";
    SURFACE_AGE, "optionsib_surface_age_seconds", GAUGE, Seconds, ["product"],
        "age of the published volatility surface";
    BUILD, "optionsib_build_info", GAUGE, Count, ["version", "environment"],
        "1: the running build";
}

impl Metric {
    /// The counter with these label values; keep it, looking it up isn't free.
    pub fn counter(&self, values: &[&str]) -> Counter {
        debug_assert_eq!(self.kind, Kind::Counter, "{} is another kind", self.name);
        metrics::with_recorder(|to| to.register_counter(&self.key(values), &METADATA))
    }

    /// The gauge with these label values; keep it, looking it up isn't free.
    pub fn gauge(&self, values: &[&str]) -> Gauge {
        debug_assert_eq!(self.kind, Kind::Gauge, "{} is another kind", self.name);
        metrics::with_recorder(|to| to.register_gauge(&self.key(values), &METADATA))
    }

    /// The histogram with these label values; keep it, looking it up isn't free.
    pub fn histogram(&self, values: &[&str]) -> Histogram {
        debug_assert!(matches!(self.kind, Kind::Histogram(_)), "{} is another kind", self.name);
        metrics::with_recorder(|to| to.register_histogram(&self.key(values), &METADATA))
    }

    fn key(&self, values: &[&str]) -> Key {
        debug_assert_eq!(self.labels.len(), values.len(), "{} takes other labels", self.name);
        let labels = self.labels.iter().zip(values);
        let labels = labels.map(|(name, value)| Label::new(*name, (*value).to_owned()));
        Key::from_parts(self.name, labels.collect::<Vec<_>>())
    }
}

static METADATA: Metadata<'static> = Metadata::new("optionsib", Level::INFO, None);

/// Tells the recorder name, unit and help of every metric. Once, after it is installed.
pub fn describe_all() {
    for metric in ALL {
        let (name, unit, help) = (metric.name, metric.unit, metric.help);
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(name, unit, help),
            Kind::Gauge => metrics::describe_gauge!(name, unit, help),
            Kind::Histogram(_) => metrics::describe_histogram!(name, unit, help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_of_the_house_form() {
        let names: BTreeSet<&str> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len());
        for metric in ALL {
            assert!(metric.name.starts_with("optionsib_"), "{}", metric.name);
            let total = metric.name.ends_with("_total");
            assert_eq!(total, metric.kind == Kind::Counter, "{}", metric.name);
            if let Kind::Histogram(buckets) = metric.kind {
                assert!(buckets.is_sorted() && !buckets.is_empty());
            }
        }
    }
}
