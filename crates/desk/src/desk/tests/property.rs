//! Random lives: intents, fills, repeated and reordered reports, lost links, crashes that lose what
//! was not durable, reconciliations. After every step the promises of the desk are checked.

use super::broker::Broker;
use super::world::*;
use crate::desk::{Desk, DeskEvent, Effect, RefusedSend};
use crate::fold::hash_of;
use crate::reconcile::{Agreement, RoundResult};
use crate::record::Record;
use crate::state::{Phase, State};
use market::instrument::{ConId, Contract};
use market::time::Now;
use proptest::prelude::*;
use risk::cleared::{Cleared, Fence};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use trading::id::{OrderId, PermId};
use trading::order::Order;
use trading::report::Report;
use trading::trading_state::HaltEpoch;

#[derive(Clone, Debug)]
enum Op {
    Intent {
        combo: bool,
        units: i64,
        cents: i64,
    },
    /// The session handles the next message for the broker.
    Session(Fate),
    Fill {
        index: usize,
        units: i64,
    },
    /// A report reaches the desk: which, and whether it comes again later.
    Report {
        index: usize,
        again: bool,
    },
    LinkLost,
    Crash,
    Durable,
    Wait {
        seconds: u64,
    },
    Reconcile,
    /// A reconciliation is answered whose result comes to the desk later.
    Answers,
    /// The result comes, with whatever was reported meanwhile told before it.
    Stirred,
    CancelAll,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Written,
    Refused,
    /// The session can't say; it arrived.
    LostButArrived,
    /// The session can't say; it arrives some seconds later.
    LostAndLate,
    /// The session can't say; it did not arrive.
    Lost,
}

enum Message {
    Place(Box<Cleared<Order>>),
    Cancel(OrderId),
}

/// Less than the desk's settling time: beyond it the rule of the design does not reach.
const LATE_SECONDS: u64 = 6;

struct Life {
    world: World,
    desk: Desk,
    broker: Broker,
    /// Everything recorded, and how much of it is durable.
    records: Vec<Record>,
    durable: usize,
    outbound: VecDeque<(usize, Message)>,
    /// Orders under way to the broker, and when they arrive.
    late: Vec<(u64, Order)>,
    inbound: VecDeque<Report>,
    answered: Option<RoundResult>,
    seconds: u64,
    epoch: u32,
    link: u32,
    seq: u32,
    sends: usize,
}

impl Life {
    /// In a build with `--cfg mutations`, OPTIONSIB_MUTATION names the fault that must turn this
    /// red.
    fn begin() -> Self {
        #[cfg(mutations)]
        if let Ok(name) = std::env::var("OPTIONSIB_MUTATION") {
            mutation::set(&name);
        }
        let mut life = Self {
            world: World::new(),
            desk: desk(fresh_state(), 1),
            broker: Broker::default(),
            records: vec![started()],
            durable: 1,
            outbound: VecDeque::new(),
            late: Vec::new(),
            inbound: VecDeque::new(),
            answered: None,
            seconds: 1,
            epoch: 1,
            link: 0,
            seq: 1,
            sends: 0,
        };
        life.connect();
        life
    }

    fn now(&self) -> Now {
        at(self.seconds)
    }

    fn connect(&mut self) {
        self.tell(DeskEvent::Restarted);
        self.link += 1;
        self.tell(link(self.link));
        self.tell(DeskEvent::Attach { strategy: owner() });
        self.reconcile();
    }

    fn tell(&mut self, event: DeskEvent) {
        let now = self.now();
        let effects = self.desk.on(event, &self.world.context(), now);
        let mut approved: BTreeSet<OrderId> = BTreeSet::new();
        for effect in effects {
            match effect {
                Effect::Record(record) => {
                    if let Record::IntentApproved { order, .. }
                    | Record::ModifyApproved { order, .. } = &*record
                    {
                        approved.insert(order.order_id);
                    }
                    self.records.push(*record);
                }
                Effect::Send(cleared) | Effect::SendModify(cleared) => {
                    let order_id = cleared.order().order_id;
                    assert!(approved.contains(&order_id), "a send without its approval");
                    self.sends += 1;
                    let position = self.records.len();
                    self.outbound.push_back((position, Message::Place(cleared)));
                }
                Effect::Cancel { order_id } => {
                    self.outbound.push_back((0, Message::Cancel(order_id)));
                }
                Effect::ToStrategy { .. }
                | Effect::Publish(_)
                | Effect::RequestReconcile(_)
                | Effect::Alarm(_) => {}
            }
        }
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Intent { combo, units, cents } => {
                let contract = if *combo { spread() } else { Contract::Single(ONE) };
                let limit = format!("{}.{:02}", if *combo { 0 } else { 100 }, cents);
                let intent = intent(key(self.epoch, self.seq), &contract, *units, &limit);
                self.seq += 1;
                self.tell(DeskEvent::Intent(Box::new(intent)));
            }
            Op::Session(fate) => self.session(*fate),
            Op::Fill { index, units } => {
                let reports = self.broker.fill(*index, *units, self.now());
                self.inbound.extend(reports);
            }
            Op::Report { index, again } => self.report(*index, *again),
            Op::LinkLost => {
                // What was under way either way is lost with the connection.
                self.inbound.clear();
                self.outbound.clear();
                let (generation, next_valid_id) = (self.link, None);
                self.tell(DeskEvent::Link { up: false, generation, next_valid_id });
                // The session's pending writes are refused, as it promises.
                for order_id in self.unwritten() {
                    self.outcome(order_id, Fate::Refused);
                }
                self.link += 1;
                self.tell(link(self.link));
            }
            Op::Crash => {
                self.records.truncate(self.durable);
                self.outbound.clear();
                self.inbound.clear();
                self.answered = None;
                self.epoch += 1;
                self.seq = 1;
                self.desk = desk(fold(&self.records), self.epoch);
                self.connect();
            }
            Op::Durable => self.durable = self.records.len(),
            Op::Wait { seconds } => {
                self.seconds += seconds;
                self.arrive();
                self.tell(DeskEvent::Wake);
            }
            Op::Reconcile => self.reconcile(),
            Op::Answers => {
                self.hear_all();
                self.answered = Some(self.broker.answers(self.now(), self.link));
            }
            Op::Stirred => {
                if let Some(answered) = self.answered.take() {
                    self.hear_all();
                    let stirred = RoundResult { agreement: Agreement::Stirred, ..answered };
                    self.tell(DeskEvent::Reconciled(Box::new(stirred)));
                }
            }
            Op::CancelAll => self.tell(DeskEvent::CancelAll { reason: "operator".to_owned() }),
        }
    }

    fn arrive(&mut self) {
        let now = self.seconds;
        let (arrived, under_way) = self.late.drain(..).partition(|(at, _)| *at <= now);
        self.late = under_way;
        let arrived: Vec<(u64, Order)> = arrived;
        for (_, order) in arrived {
            let reports = self.broker.place(order);
            self.inbound.extend(reports);
        }
    }

    fn unwritten(&self) -> Vec<OrderId> {
        let orders = self.desk.state().orders.iter();
        let waiting = orders.filter(|(_, entry)| entry.phase == Phase::Pending);
        waiting.map(|(order_id, _)| *order_id).collect()
    }

    fn outcome(&mut self, order_id: OrderId, fate: Fate) {
        let reason = "test".to_owned();
        let may_have_left = !matches!(fate, Fate::Refused);
        let result = Err(RefusedSend { reason, may_have_left });
        self.tell(DeskEvent::SendOutcome { order_id, result });
    }

    fn session(&mut self, fate: Fate) {
        let durable = self.durable;
        let ready = self.outbound.iter().position(|(needs, _)| *needs <= durable);
        let Some((_, message)) = ready.and_then(|index| self.outbound.remove(index)) else {
            return;
        };
        let cleared = match message {
            Message::Cancel(order_id) => {
                let reports = self.broker.cancel(order_id);
                self.inbound.extend(reports);
                return;
            }
            Message::Place(cleared) => cleared,
        };
        let order_id = cleared.order().order_id;
        let hash = cleared.hash();
        let fence = Fence { halt_epoch: HaltEpoch(0), desk_generation: self.epoch };
        let now = self.now().process;
        let Ok(order) = cleared.open(fence, now) else {
            self.outcome(order_id, Fate::Refused);
            return;
        };
        match fate {
            Fate::Written => {
                let reports = self.broker.place(order);
                self.inbound.extend(reports);
                let result = Ok(hash);
                self.tell(DeskEvent::SendOutcome { order_id, result });
            }
            Fate::LostButArrived => {
                self.broker.place(order);
                self.outcome(order_id, fate);
            }
            Fate::LostAndLate => {
                self.late.push((self.seconds + LATE_SECONDS, order));
                self.outcome(order_id, fate);
            }
            Fate::Lost | Fate::Refused => self.outcome(order_id, fate),
        }
    }

    /// Delivers one report out of order. The end of an order never overtakes its executions: one
    /// socket carries both, and reordering is between the two clients and their retries.
    fn report(&mut self, index: usize, again: bool) {
        if self.inbound.is_empty() {
            return;
        }
        let index = index % self.inbound.len();
        let ends = matches!(self.inbound[index], Report::Ended { .. });
        let earlier = if ends { index } else { 0 };
        for _ in 0..earlier {
            let report = self.inbound.pop_front().expect("index lies in the queue");
            self.tell(DeskEvent::Report(Box::new(report)));
        }
        let report = self.inbound.remove(index - earlier).expect("index lies in the queue");
        if again {
            self.inbound.push_back(report.clone());
        }
        self.tell(DeskEvent::Report(Box::new(report)));
    }

    fn hear_all(&mut self) {
        while let Some(report) = self.inbound.pop_front() {
            self.tell(DeskEvent::Report(Box::new(report)));
        }
    }

    fn reconcile(&mut self) {
        self.hear_all();
        let result = self.broker.answers(self.now(), self.link);
        // As a periodic one of a reconciled link asks: from shortly before the last on.
        if self.desk.is_ready() {
            let recent = result.reports.len().saturating_sub(2);
            let since = Some(self.now().market);
            let reports = result.reports[recent..].to_vec();
            let windowed = RoundResult { since, reports, ..result.clone() };
            self.tell(DeskEvent::Reconciled(Box::new(windowed)));
        }
        self.tell(DeskEvent::Reconciled(Box::new(result)));
    }

    fn check(&self) {
        let live = self.desk.state();
        assert_eq!(hash_of(live), hash_of(&fold(&self.records)), "fold differs from live");
        let mut working: BTreeMap<String, Vec<PermId>> = BTreeMap::new();
        for held in self.broker.orders.values() {
            assert!(held.filled <= held.order.quantity.0, "filled beyond what was intended");
            if held.end.is_none() {
                let reference = held.order.key.to_string();
                working.entry(reference).or_default().push(held.perm_id);
            }
        }
        for (reference, perms) in working {
            assert_eq!(perms.len(), 1, "two live orders of {reference}");
        }
        let references: BTreeSet<String> =
            self.broker.orders.values().map(|held| held.order.key.to_string()).collect();
        assert_eq!(references.len(), self.broker.orders.len(), "an intent was sent twice");
        for con_id in [ONE, TWO] {
            let truth = self.broker.reach(con_id);
            let own = reach(live, con_id);
            assert!(
                own.0 <= truth.0 && own.1 >= truth.1,
                "{con_id:?}: exposure {own:?} is less than the broker's {truth:?}"
            );
        }
        let mut booked = BTreeSet::new();
        for record in &self.records {
            if let Record::Filled { fill, .. } = record {
                assert!(booked.insert(fill.exec_id.clone()), "{} booked twice", fill.exec_id);
            }
        }
    }

    /// The faults stop; a few reconciliations later everything agrees.
    fn settle(&mut self) {
        self.durable = self.records.len();
        self.run(&Op::LinkLost);
        for _ in 0..4 {
            self.seconds += 15;
            self.arrive();
            while !self.outbound.is_empty() {
                self.durable = self.records.len();
                self.session(Fate::Written);
            }
            self.reconcile();
            self.check();
        }
        let state = self.desk.state();
        assert!(self.desk.is_ready());
        let held: BTreeMap<ConId, i64> = self
            .broker
            .positions
            .iter()
            .filter(|(_, held)| **held != 0)
            .map(|(con_id, held)| (*con_id, *held))
            .collect();
        let own: BTreeMap<ConId, i64> =
            state.ledger.positions().iter().map(|(con_id, held)| (*con_id, held.0)).collect();
        assert_eq!(own, held, "positions");
        let cash: Vec<_> = state.ledger.cash().into_values().collect();
        assert_eq!(cash.first().copied().unwrap_or_default(), self.broker.cash, "cash");
        let open: BTreeSet<OrderId> = self
            .broker
            .orders
            .values()
            .filter(|held| held.end.is_none())
            .map(|held| held.order.order_id)
            .collect();
        let live: BTreeSet<OrderId> = state.live().map(|(order_id, _)| *order_id).collect();
        assert_eq!(live, open, "live orders");
        assert!(state.restricted.is_empty(), "restricted: {:?}", state.restricted);
    }
}

fn fold(records: &[Record]) -> State {
    let mut state = State::default();
    records.iter().for_each(|record| state.apply(record));
    state
}

fn reach(state: &State, con_id: ConId) -> (i64, i64) {
    let exposure = state.exposure(None);
    let held = exposure.positions.get(&con_id).map_or(0, |held| held.0);
    let mut reach = (held, held);
    for pending in exposure.pending {
        for (leg, signed) in pending.signed_legs() {
            if leg == con_id {
                reach.0 += signed.min(0);
                reach.1 += signed.max(0);
            }
        }
    }
    reach
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let fate = prop_oneof![
        8 => Just(Fate::Written),
        1 => Just(Fate::Refused),
        1 => Just(Fate::LostButArrived),
        1 => Just(Fate::LostAndLate),
        1 => Just(Fate::Lost),
    ];
    let op = prop_oneof![
        6 => (any::<bool>(), -3..4_i64, 0..3_i64)
            .prop_map(|(combo, units, cents)| Op::Intent { combo, units, cents }),
        8 => fate.prop_map(Op::Session),
        6 => (0..4_usize, 1..4_i64).prop_map(|(index, units)| Op::Fill { index, units }),
        10 => (0..6_usize, any::<bool>()).prop_map(|(index, again)| Op::Report { index, again }),
        1 => Just(Op::LinkLost),
        1 => Just(Op::Crash),
        8 => Just(Op::Durable),
        2 => (1..20_u64).prop_map(|seconds| Op::Wait { seconds }),
        4 => Just(Op::Reconcile),
        2 => Just(Op::Answers),
        2 => Just(Op::Stirred),
        1 => Just(Op::CancelAll),
    ];
    proptest::collection::vec(op, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn no_life_of_the_desk_breaks_a_promise(ops in ops()) {
        let mut life = Life::begin();
        for op in &ops {
            life.run(op);
            life.check();
        }
        life.settle();
    }
}

#[test]
fn the_small_broker_lets_most_intents_through() {
    let mut life = Life::begin();
    for units in [1, 2, 3] {
        life.run(&Op::Intent { combo: false, units, cents: 0 });
        for op in [Op::Durable, Op::Session(Fate::Written), Op::Reconcile] {
            life.run(&op);
        }
        life.run(&Op::Fill { index: 0, units: 9 });
        life.run(&Op::Reconcile);
    }
    assert_eq!(life.sends, 3, "otherwise the property above says nothing");
    assert_eq!(life.broker.positions[&ONE], 3);
    life.settle();
}
