//! The tables of `status`, `tree`, `positions`, `orders`, `surfaces`, `reconcile`, `chaos list` and
//! `snapshot list`.

use super::Paint;
use crate::control::{
    FaultView, OrderView, PositionView, ReconciliationView, SnapshotView, StatusView, SurfaceRow,
    TreeRow,
};

#[derive(Clone, Copy)]
enum Align {
    Left,
    Right,
}

use Align::{Left, Right};

struct Table<const COLUMNS: usize> {
    columns: [(&'static str, Align); COLUMNS],
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// Aligned text; the cells of `state` column are coloured.
    fn render(&self, state: Option<usize>, none: &str, paint: Paint) -> String {
        if self.rows.is_empty() {
            return format!("{none}\n");
        }
        let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.chain([self.columns[column].0.len()]).max().unwrap_or(0)
        });
        let mut text =
            self.line(&self.columns.map(|(name, _)| name.to_owned()), widths, None, paint);
        for row in &self.rows {
            text.push_str(&self.line(row, widths, state, paint));
        }
        text
    }

    fn line(
        &self,
        cells: &[String; COLUMNS],
        widths: [usize; COLUMNS],
        state: Option<usize>,
        paint: Paint,
    ) -> String {
        let mut line = String::new();
        for (column, cell) in cells.iter().enumerate() {
            let width = widths[column];
            let padded = match self.columns[column].1 {
                Left => format!("{cell:<width$}"),
                Right => format!("{cell:>width$}"),
            };
            let shown = if state == Some(column) { paint.word(cell, &padded) } else { padded };
            line.push_str(if column == 0 { "" } else { "  " });
            line.push_str(&shown);
        }
        format!("{}\n", line.trim_end())
    }
}

fn optional(value: Option<&String>) -> String {
    value.map_or_else(|| "-".to_owned(), Clone::clone)
}

/// The node's status, a line per fact.
#[must_use]
pub fn status(status: &StatusView, paint: Paint) -> String {
    let ready = if status.ready { "yes" } else { "no" };
    let unrealised = status.pnl.unrealised.clone().unwrap_or_else(|| "unknown".to_owned());
    let trading = match &status.halt_reason {
        Some(reason) => format!("{} ({reason})", status.trading_state),
        None => status.trading_state.clone(),
    };
    let link = match &status.needs_human {
        Some(why) => format!("{} ({why})", status.broker_link),
        None => status.broker_link.clone(),
    };
    let entries = status.entries_frozen.as_deref().unwrap_or("not frozen");
    let facts = [
        ("ready", paint.word(ready, ready)),
        ("trading", paint.word(&status.trading_state, &trading)),
        ("broker link", paint.word(&status.broker_link, &link)),
        ("entries", entries.to_owned()),
        ("violations", status.violations.to_string()),
        ("open orders", status.open_orders.to_string()),
        ("positions", status.positions.to_string()),
        ("fills", status.fills.to_string()),
        ("cash", status.pnl.cash.clone()),
        ("realised", status.pnl.realised.clone()),
        ("unrealised", unrealised),
        ("fees", status.pnl.fees.clone()),
        ("journal seq", status.journal_seq.to_string()),
        ("market time", status.market_time.clone()),
        ("up", format!("{:.0} s, epoch {}", status.uptime_s, status.epoch)),
        ("account", format!("{} ({})", status.account, status.environment)),
    ];
    facts.iter().map(|(name, value)| format!("{name:<12} {value}\n")).collect()
}

/// A reconciliation: how it ended, what the broker holds, and what nothing explains.
#[must_use]
pub fn reconciliation(found: &ReconciliationView, paint: Paint) -> String {
    let outcome = match (found.complete, found.unresolved.is_empty()) {
        (true, true) => paint.word("yes", "in agreement"),
        (true, false) => paint.word("no", "differences without a reason"),
        (false, _) if found.stirred => paint.word("no", "reports kept coming"),
        (false, _) => paint.word("no", "incomplete"),
    };
    let mut facts = vec![
        ("outcome", outcome),
        ("ended", found.ended.clone()),
        ("rounds", format!("{}, link generation {}", found.rounds, found.link_generation)),
        ("journal seq", found.seq.to_string()),
    ];
    facts.extend(found.cash.iter().map(|(currency, cash)| ("cash", format!("{cash} {currency}"))));
    let mut text: String =
        facts.iter().map(|(name, value)| format!("{name:<12} {value}\n")).collect();
    let positions = Table {
        columns: [("POSITION", Left), ("QUANTITY", Right)],
        rows: found
            .positions
            .iter()
            .map(|held| [held.contract.clone(), held.quantity.to_string()])
            .collect(),
    };
    text.push_str(&positions.render(None, "no positions", paint));
    let orders = Table {
        columns: [("WORKING ORDER", Left), ("PERM ID", Right)],
        rows: found
            .open_orders
            .iter()
            .map(|order| {
                let reference = Some(&order.reference).filter(|reference| !reference.is_empty());
                [optional(reference), order.perm_id.to_string()]
            })
            .collect(),
    };
    text.push_str(&orders.render(None, "no working orders", paint));
    for sentence in &found.unresolved {
        text.push_str(&format!("unexplained: {sentence}\n"));
    }
    text
}

/// The supervision tree, children below their supervisor.
#[must_use]
pub fn tree(rows: &[TreeRow], paint: Paint) -> String {
    let depth = |row: &TreeRow| {
        let mut depth = 0;
        let mut parent = row.parent.as_ref();
        // Bounded by the number of rows, should a table ever have a ring.
        while let Some(above) = parent.filter(|_| depth < rows.len()) {
            depth += 1;
            parent = rows.iter().find(|row| row.role == *above).and_then(|row| row.parent.as_ref());
        }
        depth
    };
    let table = Table {
        columns: [
            ("ROLE", Left),
            ("STATUS", Left),
            ("GENERATION", Right),
            ("RESTARTS", Right),
            ("QUEUE", Right),
            ("LAST REASON", Left),
            ("DETAIL", Left),
        ],
        rows: rows
            .iter()
            .map(|row| {
                [
                    format!("{}{}", "  ".repeat(depth(row)), row.role),
                    row.status.clone(),
                    row.generation.to_string(),
                    row.restarts.to_string(),
                    row.queue_depth.to_string(),
                    row.last_reason.clone(),
                    row.detail.clone(),
                ]
            })
            .collect(),
    };
    table.render(Some(1), "no roles", paint)
}

/// Positions.
#[must_use]
pub fn positions(rows: &[PositionView], paint: Paint) -> String {
    let table = Table {
        columns: [
            ("STRATEGY", Left),
            ("CONTRACT", Left),
            ("QUANTITY", Right),
            ("AVERAGE COST", Right),
            ("MARK", Right),
            ("REALISED", Right),
            ("UNREALISED", Right),
            ("", Left),
        ],
        rows: rows
            .iter()
            .map(|row| {
                [
                    optional(row.strategy.as_ref()),
                    row.contract.clone(),
                    row.quantity.to_string(),
                    row.average_cost.clone(),
                    optional(row.mark.as_ref()),
                    row.realised.clone(),
                    optional(row.unrealised.as_ref()),
                    row.currency.clone(),
                ]
            })
            .collect(),
    };
    table.render(None, "no positions", paint)
}

/// Surfaces, a line per product and expiry.
#[must_use]
pub fn surfaces(rows: &[SurfaceRow], paint: Paint) -> String {
    let table = Table {
        columns: [
            ("PRODUCT", Left),
            ("EXPIRY", Left),
            ("FORWARD", Right),
            ("VOL %", Right),
            ("RHO", Right),
            ("PSI", Right),
            ("QUOTES", Right),
            ("RESIDUAL %", Right),
            ("INSIDE %", Right),
            ("AGE", Right),
        ],
        rows: rows
            .iter()
            .map(|row| {
                [
                    row.symbol.clone(),
                    row.expiry.clone(),
                    format!("{:.2}", row.forward),
                    format!("{:.2}", 100.0 * row.at_the_money_vol),
                    format!("{:.3}", row.rho),
                    format!("{:.3}", row.psi),
                    row.quotes.to_string(),
                    format!("{:.3}", 100.0 * row.residual_vol),
                    format!("{:.1}", 100.0 * row.inside),
                    format!("{:.0} s", row.age_s),
                ]
            })
            .collect(),
    };
    table.render(None, "no surface yet", paint)
}

/// Orders.
#[must_use]
pub fn orders(rows: &[OrderView], paint: Paint) -> String {
    let table = Table {
        columns: [
            ("ORDER", Right),
            ("STATE", Left),
            ("STRATEGY", Left),
            ("SIDE", Left),
            ("FILLED", Right),
            ("OF", Right),
            ("LIMIT", Right),
            ("CONTRACT", Left),
            ("REFERENCE", Left),
        ],
        rows: rows
            .iter()
            .map(|row| {
                [
                    row.order_id.to_string(),
                    row.state.clone(),
                    optional(row.strategy.as_ref()),
                    row.side.clone(),
                    row.filled.to_string(),
                    row.quantity.to_string(),
                    row.limit.clone(),
                    row.contract.clone(),
                    row.reference.clone(),
                ]
            })
            .collect(),
    };
    table.render(Some(1), "no orders", paint)
}

/// Armed faults.
#[must_use]
pub fn faults(rows: &[FaultView], paint: Paint) -> String {
    let table = Table {
        columns: [
            ("ID", Right),
            ("ROLE", Left),
            ("FAULT", Left),
            ("LEFT", Right),
            ("ENDS IN", Right),
        ],
        rows: rows
            .iter()
            .map(|row| {
                [
                    row.id.to_string(),
                    row.role.clone(),
                    row.fault.clone(),
                    row.left.to_string(),
                    format!("{} ms", row.ends_in_ms),
                ]
            })
            .collect(),
    };
    table.render(None, "no faults are armed", paint)
}

/// Snapshots.
#[must_use]
pub fn snapshots(rows: &[SnapshotView], paint: Paint) -> String {
    let table = Table {
        columns: [("SEQ", Right), ("BYTES", Right), ("BLAKE3", Left)],
        rows: rows
            .iter()
            .map(|row| [row.seq.to_string(), row.bytes.to_string(), row.blake3.clone()])
            .collect(),
    };
    table.render(None, "no snapshots", paint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(role: &str, parent: Option<&str>, status: &str) -> TreeRow {
        TreeRow {
            role: role.into(),
            parent: parent.map(Into::into),
            status: status.into(),
            generation: 1,
            restarts: 0,
            queue_depth: 12,
            last_reason: String::new(),
            detail: String::new(),
        }
    }

    #[test]
    fn the_tree_is_aligned_and_indented_and_ends_without_blanks() {
        let mut rows = [
            row("root", None, "ready"),
            row("trade", Some("root"), "ready"),
            row("desk", Some("trade"), "backoff"),
        ];
        rows[0].detail = "link ready".to_owned();
        let text = tree(&rows, Paint::PLAIN);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "ROLE      STATUS   GENERATION  RESTARTS  QUEUE  LAST REASON  DETAIL");
        assert!(lines[1].ends_with("  link ready"), "{text}");
        assert_eq!(lines[2], "  trade   ready             1         0     12");
        assert_eq!(lines[3], "    desk  backoff           1         0     12");
    }

    #[test]
    fn colour_changes_no_width_and_nothing_but_states() {
        let rows = [row("root", None, "ready")];
        let text = tree(&rows, Paint(true));
        assert!(text.contains("\x1b[32mready \x1b[0m"), "{text:?}");
        let bare = text.replace("\x1b[32m", "").replace("\x1b[0m", "");
        assert_eq!(bare, tree(&rows, Paint::PLAIN));
    }

    #[test]
    fn an_empty_table_says_so() {
        assert_eq!(orders(&[], Paint::PLAIN), "no orders\n");
    }
}
