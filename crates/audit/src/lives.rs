//! Random lives of an account: a faithful journal is never red, and one that loses or repeats a
//! record always is.

use crate::fact::{EndState, Fact, LifecycleKind};
use crate::report::Invariant;
use crate::scene::{CALL, Scene, fill, reference};
use market::quote::Side;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Aim(i64),
    Fill(i64),
    Cancel,
    Expire,
    Restart,
    Reconcile,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (-4_i64..=4).prop_map(Step::Aim),
        6 => (1_i64..=3).prop_map(Step::Fill),
        1 => Just(Step::Cancel),
        1 => Just(Step::Expire),
        1 => Just(Step::Restart),
        2 => Just(Step::Reconcile),
    ]
}

/// What goes wrong with one execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mishap {
    Lost,
    Repeated,
}

struct Life {
    scene: Scene,
    position: i64,
    number: u32,
    executions: usize,
    /// Side and units left of the order that works.
    working: Option<(Side, i64)>,
    mishap: Option<(usize, Mishap)>,
}

impl Life {
    fn new(mishap: Option<(usize, Mishap)>) -> Self {
        let scene = Scene::new();
        Self { scene, position: 0, number: 0, executions: 0, working: None, mishap }
    }

    fn order_id(&self) -> i64 {
        100 + i64::from(self.number)
    }

    fn live(&mut self, step: &Step) {
        match (step, self.working) {
            (Step::Aim(target), None) if *target != self.position => {
                self.number += 1;
                let change = target - self.position;
                let side = if change > 0 { Side::Buy } else { Side::Sell };
                let order = self.scene.approve(self.number, side, change.abs(), *target);
                self.scene.place(&order);
                let order_id = self.order_id();
                self.scene.record(&Fact::Sent { order_id, hash: format!("hash {}", self.number) });
                self.scene.record(&Fact::Acknowledged { order_id, perm_id: order_id + 1000 });
                self.working = Some((side, change.abs()));
            }
            (Step::Fill(most), Some((side, left))) => self.fill(side, left, *most),
            (Step::Cancel, Some(_)) => self.end(EndState::Canceled),
            (Step::Expire, None) if self.position != 0 => {
                let quantity = self.position;
                let kind = LifecycleKind::Expired { con_id: CALL, quantity };
                let id = format!("expiry {}", self.scene.last_seq());
                self.scene.lifecycle(&id, kind, -quantity);
                self.scene.venue.positions.clear();
                self.position = 0;
            }
            (Step::Restart, _) => self.scene.restart(),
            (Step::Reconcile, working) => {
                let open = reference(self.number);
                let open: &[&str] = if working.is_some() { &[&open] } else { &[] };
                self.scene.reconcile(open, 1);
            }
            _ => {}
        }
    }

    fn fill(&mut self, side: Side, left: i64, most: i64) {
        let quantity = left.min(most);
        let exec_id = format!("e.{}.01", self.executions);
        let mishap = self.mishap.filter(|(at, _)| *at == self.executions).map(|(_, what)| what);
        self.executions += 1;
        if mishap == Some(Mishap::Lost) {
            self.scene.execute(self.number, &exec_id, side, quantity);
        } else {
            self.scene.fill(self.number, &exec_id, side, quantity);
        }
        if mishap == Some(Mishap::Repeated) {
            let fill = fill(self.number, &exec_id, side, quantity);
            let strategy = Some("alpha".to_owned());
            self.scene.record(&Fact::Filled { fill, strategy, terms: None });
        }
        self.position += side.sign() * quantity;
        self.working = Some((side, left - quantity));
        if left == quantity {
            self.end(EndState::Filled);
        }
    }

    fn end(&mut self, end: EndState) {
        self.scene.record(&Fact::Ended { order_id: self.order_id(), end });
        self.working = None;
    }

    fn finish(&mut self) {
        if self.working.is_some() {
            self.end(EndState::Canceled);
        }
        self.scene.auditor.on_truth(&self.scene.venue.clone(), self.scene.now());
        self.scene.auditor.on_finished(self.scene.now());
    }
}

proptest! {
    #[test]
    fn a_faithful_journal_is_never_red(steps in proptest::collection::vec(step(), 1..60)) {
        let mut life = Life::new(None);
        for step in &steps {
            life.live(step);
        }
        life.finish();
        life.scene.expect_held(&[Invariant::I2, Invariant::I3, Invariant::I4, Invariant::I11]);
    }

    #[test]
    fn a_lost_or_repeated_execution_is_always_red(
        steps in proptest::collection::vec(step(), 10..60),
        at in 0_usize..8,
        lost in any::<bool>(),
    ) {
        let mishap = if lost { Mishap::Lost } else { Mishap::Repeated };
        let mut life = Life::new(Some((at, mishap)));
        for step in &steps {
            life.live(step);
        }
        life.finish();
        let hit = life.executions > at;
        prop_assert_eq!(!life.scene.auditor.report().held(Invariant::I2), hit);
    }
}
