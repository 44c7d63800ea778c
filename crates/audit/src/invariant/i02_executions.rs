//! I2: every execId is in the journal exactly once; a correction replaces, a bust removes; legs and
//! outrights book, the BAG line only checks.

use super::{Books, Check};
use crate::executions::{revision, signed, stem};
use crate::fact::{Fact, Fill};
use crate::report::{Invariant, Place, Tally};
use crate::truth::VenueTruth;
use std::collections::{BTreeMap, BTreeSet};

/// See the file's header.
#[derive(Clone, Debug, Default)]
pub struct EveryExecutionOnce {
    recorded: BTreeSet<String>,
    busted: BTreeSet<String>,
    combo_lines: BTreeSet<String>,
}

const I2: Invariant = Invariant::I2;

impl EveryExecutionOnce {
    fn once(&mut self, place: Place, fill: &Fill, tally: &mut Tally) {
        let new = self.recorded.insert(fill.exec_id.clone());
        tally.check(I2, place, new, || format!("execution {} is recorded twice", fill.exec_id));
        let line = self.combo_lines.contains(&fill.exec_id);
        tally.check(I2, place, !line && fill.quantity > 0, || {
            format!("execution {} is a combo's own line or has no size, and books", fill.exec_id)
        });
    }
}

impl Check for EveryExecutionOnce {
    fn before(&mut self, books: &Books, place: Place, fact: &Fact, tally: &mut Tally) {
        match fact {
            Fact::Filled { fill, .. } => {
                self.once(place, fill, tally);
                let known = books.executions.of(&fill.exec_id).and_then(|known| known.known());
                let other = known.filter(|known| known.exec_id != fill.exec_id);
                tally.check(I2, place, other.is_none(), || {
                    let other = other.map_or("", |other| other.exec_id.as_str());
                    format!("execution {} books beside {other}, its other revision", fill.exec_id)
                });
            }
            Fact::Corrected { replaced, fill, .. } => {
                self.once(place, fill, tally);
                let known = books.executions.of(replaced).and_then(|known| known.known());
                let right = stem(replaced) == stem(&fill.exec_id)
                    && revision(replaced) < revision(&fill.exec_id)
                    && (known.is_some_and(|known| known.exec_id == *replaced)
                        || !books.from_the_start);
                tally.check(I2, place, right, || {
                    format!(
                        "execution {} replaces {replaced}, which is not its booked earlier \
                         revision",
                        fill.exec_id
                    )
                });
            }
            Fact::Busted { exec_id } => {
                let new = self.busted.insert(exec_id.clone());
                tally.check(I2, place, new, || format!("execution {exec_id} is busted twice"));
            }
            Fact::ComboChecked { execution } => {
                let exec_id = &execution.exec_id;
                let apart = !self.recorded.contains(exec_id);
                let new = self.combo_lines.insert(exec_id.clone());
                tally.check(I2, place, apart && new, || {
                    format!("combo line {exec_id} is recorded twice, or booked")
                });
            }
            _ => {}
        }
    }

    fn on_truth(&mut self, books: &Books, truth: &VenueTruth, place: Place, tally: &mut Tally) {
        if !books.from_the_start {
            return;
        }
        let mut ours: BTreeMap<&str, &Fill> = books
            .executions
            .all()
            .filter_map(|execution| execution.booked())
            .map(|fill| (fill.exec_id.as_str(), fill))
            .collect();
        for theirs in &truth.executions {
            let fill = ours.remove(theirs.exec_id.as_str());
            let same = fill.is_some_and(|fill| {
                fill.con_id == theirs.con_id
                    && signed(fill) == i128::from(theirs.side.sign()) * i128::from(theirs.quantity)
                    && fill.price == theirs.price_micros
                    && fill.reference == theirs.reference
            });
            tally.check(I2, place, same, || match fill {
                Some(fill) => format!("the venue has {theirs:?}, the journal {fill:?}"),
                None => format!("execution {} of the venue is not booked", theirs.exec_id),
            });
        }
        tally.check(I2, place, ours.is_empty(), || {
            let invented: Vec<_> = ours.keys().take(5).collect();
            format!("{} booked executions are not the venue's: {invented:?}", ours.len())
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::fact::{ComboExecution, Fact};
    use crate::report::Invariant;
    use crate::scene::{Scene, fill};
    use market::quote::Side;

    fn correction(scene: &mut Scene, from: &str, to: &str) {
        let strategy = Some("alpha".to_owned());
        let fill = fill(1, to, Side::Buy, 1);
        let replaced = from.to_owned();
        scene.record(&Fact::Corrected { replaced, fill, strategy, terms: None });
    }

    #[test]
    fn corrections_replace_and_busts_remove() {
        let mut scene = Scene::new();
        scene.approve(1, Side::Buy, 2, 2);
        scene.fill(1, "e.1.01", Side::Buy, 2);
        correction(&mut scene, "e.1.01", "e.1.02");
        scene.fill(1, "e.2.01", Side::Buy, 1);
        scene.record(&Fact::Busted { exec_id: "e.2.01".to_owned() });
        scene.venue.executions.remove(0);
        scene.venue.executions[0].exec_id = "e.1.02".to_owned();
        scene.venue.positions = [(crate::scene::CALL, 1)].into();
        scene.venue_cash_from_executions();
        scene.auditor.on_truth(&scene.venue.clone(), scene.now());
        scene.expect_held(&[Invariant::I1, Invariant::I2, Invariant::I3, Invariant::I4]);
    }

    #[test]
    fn an_execution_recorded_twice_is_red() {
        let mut scene = Scene::new();
        scene.approve(1, Side::Buy, 2, 2);
        for _ in 0..2 {
            scene.fill(1, "e.1.01", Side::Buy, 1);
        }
        scene.expect_red(&[Invariant::I2]);
    }

    #[test]
    fn two_revisions_booked_side_by_side_are_red() {
        let mut scene = Scene::new();
        scene.approve(1, Side::Buy, 2, 2);
        scene.fill(1, "e.1.01", Side::Buy, 1);
        scene.fill(1, "e.1.02", Side::Buy, 1);
        scene.expect_red(&[Invariant::I2]);
    }

    #[test]
    fn a_correction_of_something_else_is_red() {
        let mut scene = Scene::new();
        scene.approve(1, Side::Buy, 2, 2);
        scene.fill(1, "e.1.01", Side::Buy, 1);
        correction(&mut scene, "e.7.01", "e.1.02");
        scene.expect_red(&[Invariant::I2]);
    }

    #[test]
    fn a_combo_line_that_books_is_red() {
        let mut scene = Scene::new();
        scene.approve(1, Side::Buy, 2, 2);
        let execution = ComboExecution { exec_id: "e.1.01".to_owned() };
        scene.record(&Fact::ComboChecked { execution });
        scene.fill(1, "e.1.01", Side::Buy, 1);
        scene.expect_red(&[Invariant::I2]);
    }

    #[test]
    fn an_execution_that_only_one_side_has_is_red() {
        for lost in [true, false] {
            let mut scene = Scene::new();
            scene.trade_whole(1, 2);
            let mut truth = scene.venue.clone();
            if lost {
                let mut more = truth.executions[0].clone();
                more.exec_id = "e.9.01".to_owned();
                truth.executions.push(more);
            } else {
                truth.executions.clear();
            }
            scene.auditor.on_truth(&truth, scene.now());
            assert!(scene.auditor.report().violated.contains_key("I2"));
        }
    }
}
