//! The decoder here reads what the desk writes: every record that says something to check, encoded
//! by the desk's own code, arrives with its fields. Without this a renamed field would turn the
//! auditor blind (or red) in silence.

use audit::fact::{self, Contract, EndState, Fact, LifecycleKind, Reading, Target};
use desk::record::{
    Evidence, Latch, LimitEvidence, QuoteEvidence, ReconciliationReport, Record, SCHEMA_VERSION,
};
use market::instrument::{Combo, ConId, Leg};
use market::money::{Currency, Money, Multiplier, Price, Quantity};
use market::quote::Side;
use market::time::Timestamp;
use trading::approval::{Approval, Clearance, Layer};
use trading::id::{AccountId, Epoch, ExecId, InstallId, IntentKey, OrderId, PermId, StrategyId};
use trading::intent::{Intent, Purpose};
use trading::ledger::Terms;
use trading::lifecycle::{Delivery, LifecycleEvent, LifecycleId};
use trading::order::{Order, TimeInForce};
use trading::report::{ComboExecution, Fill};
use trading::trading_state::{HaltEpoch, TradingState};

fn key() -> IntentKey {
    IntentKey {
        install: InstallId(0xab),
        epoch: Epoch(7),
        strategy: StrategyId::new("alpha").expect("a name of a to z"),
        seq: 41,
    }
}

fn combo() -> Combo {
    let leg = |con_id, ratio| Leg { con_id: ConId(con_id), ratio };
    Combo::new(vec![leg(5, 1), leg(4, -2)]).expect("two legs without a common factor")
}

fn order() -> Order {
    Order {
        order_id: OrderId(12),
        key: key(),
        account: AccountId("DU1".to_owned()),
        contract: market::instrument::Contract::Combo(combo()),
        side: Side::Sell,
        quantity: Quantity(3),
        limit: Price::from_micros(-250_000),
        time_in_force: TimeInForce::ImmediateOrCancel,
        valid_until: Timestamp::from_nanos(99),
    }
}

fn fill() -> Fill {
    Fill {
        exec_id: ExecId("e.1.02".to_owned()),
        order_id: OrderId(12),
        perm_id: PermId(70),
        reference: key().to_string(),
        con_id: ConId(4),
        side: Side::Buy,
        quantity: Quantity(6),
        price: Price::from_micros(1_250_000),
        time: Timestamp::from_nanos(55),
        combo_leg: true,
    }
}

fn terms() -> Terms {
    Terms { multiplier: Multiplier(100), currency: Currency::USD, margined_daily: true }
}

fn evidence() -> Evidence {
    Evidence {
        view_version: 9,
        quotes: vec![QuoteEvidence {
            con_id: ConId(4),
            bid: Some(Price::from_micros(1)),
            ask: None,
            quote_time: Timestamp::from_nanos(50),
            fresh: true,
            live: false,
            fair: None,
            fair_error: None,
        }],
        limits: vec![LimitEvidence {
            limit: "delta/SIM".to_owned(),
            before_milli: 1,
            after_milli: 2,
            bound_milli: 3,
        }],
        kernel: "scalar".to_owned(),
        trading_state: TradingState::ReduceOnly,
        halt_epoch: HaltEpoch(4),
        link_ready: true,
    }
}

fn approval() -> Approval {
    Approval {
        layer: Layer::Risk,
        order: order().canonical_hash(),
        grounds: vec![("name".to_owned(), "value".to_owned())],
    }
}

fn intent() -> Intent {
    Intent {
        key: key(),
        target: trading::intent::Target::Combo { combo: combo(), units: Quantity(-3) },
        limit: Price::from_micros(-300_000),
        purpose: Purpose::Hedge,
        valid_until: Timestamp::from_nanos(99),
        created: Timestamp::from_nanos(40),
        view_version: 9,
    }
}

fn read(record: &Record) -> Fact {
    match fact::read(record.kind(), SCHEMA_VERSION, &record.encode()) {
        Ok(Reading::Fact(fact)) => fact,
        other => panic!("{} reads as {other:?}", record.name()),
    }
}

#[test]
fn an_approval_arrives_with_all_that_is_checked() {
    let approved = Record::IntentApproved {
        intent: intent(),
        order: order(),
        hash: order().canonical_hash(),
        approvals: vec![approval()],
        clearance: Clearance::RiskReducing,
        evidence: evidence(),
    };
    let Fact::IntentApproved(approved) = read(&approved) else {
        panic!("another fact");
    };
    let read_intent = approved.intent.as_ref().unwrap();
    assert_eq!(read_intent.target.positions(), [(ConId(4), 6), (ConId(5), -3)]);
    assert_eq!(read_intent.limit, -300_000);
    assert!(matches!(read_intent.target, Target::Combo { units: -3, .. }));
    let read_order = &approved.order;
    assert_eq!(read_order.key.to_string(), key().to_string());
    assert!(matches!(read_order.contract, Contract::Combo(_)));
    assert_eq!(read_order.contract.legs(), [(ConId(4), -2), (ConId(5), 1)]);
    assert_eq!((read_order.order_id, read_order.quantity), (12, 3));
    assert_eq!((read_order.limit, read_order.valid_until), (-250_000, 99));
    assert_eq!(read_order.account, "DU1");
    assert_eq!(read_order.time_in_force, fact::TimeInForce::ImmediateOrCancel);
    assert_eq!(approved.hash, order().canonical_hash().to_string());
    assert_eq!(approved.approvals[0].order, approved.hash);
    assert_eq!(approved.approvals[0].layer, fact::Layer::Risk);
    assert_eq!(approved.clearance, fact::Clearance::RiskReducing);
    let quote = &approved.evidence.quotes[0];
    assert_eq!((quote.bid, quote.ask, quote.fresh, quote.live), (Some(1), None, true, false));
    assert_eq!(approved.evidence.limits[0].after_milli, 2);
    assert_eq!(approved.evidence.trading_state, fact::TradingState::ReduceOnly);
    assert!(approved.evidence.link_ready && approved.evidence.halt_epoch == 4);
}

#[test]
fn a_modify_arrives_with_and_without_its_intent() {
    for asked_by in [None, Some(intent())] {
        let record = Record::ModifyApproved {
            order: order(),
            hash: order().canonical_hash(),
            approvals: vec![approval()],
            clearance: Clearance::Full,
            evidence: evidence(),
            intent: asked_by.clone(),
        };
        let Fact::ModifyApproved(approved) = read(&record) else {
            panic!("another fact");
        };
        assert_eq!(approved.intent.is_some(), asked_by.is_some());
    }
}

#[test]
fn executions_arrive_with_owner_and_terms() {
    let strategy = StrategyId::new("alpha").ok();
    let filled = Record::Filled { fill: fill(), strategy: strategy.clone(), terms: Some(terms()) };
    let Fact::Filled { fill: read_fill, strategy: owner, terms: read_terms } = read(&filled) else {
        panic!("another fact");
    };
    assert_eq!((read_fill.quantity, read_fill.price, read_fill.time), (6, 1_250_000, 55));
    assert_eq!((read_fill.exec_id.as_str(), read_fill.con_id), ("e.1.02", ConId(4)));
    assert_eq!(read_fill.reference, key().to_string());
    assert_eq!(owner.as_deref(), Some("alpha"));
    let read_terms = read_terms.unwrap();
    assert_eq!((read_terms.multiplier, read_terms.margined_daily), (100, true));
    let replaced = ExecId("e.1.01".to_owned());
    let corrected = Record::Corrected { replaced, fill: fill(), strategy, terms: None };
    assert!(matches!(read(&corrected), Fact::Corrected { replaced, .. } if replaced == "e.1.01"));
    let amount = Money::from_micros(650_000);
    let fee = Record::Fee { exec_id: fill().exec_id, amount, currency: Currency::USD };
    assert!(matches!(read(&fee), Fact::Fee { amount: 650_000, .. }));
}

#[test]
fn lifecycle_events_arrive_with_shares() {
    let delivery =
        Delivery { con_id: ConId(3), quantity: Quantity(-100), price: Price::from_micros(5) };
    let record = Record::Lifecycle {
        event: LifecycleEvent {
            id: LifecycleId("x1".to_owned()),
            kind: trading::lifecycle::LifecycleKind::Assigned {
                con_id: ConId(4),
                quantity: Quantity(-1),
                delivery: Some(delivery),
            },
            currency: Currency::USD,
            time: Timestamp::from_nanos(5),
        },
        shares: vec![(StrategyId::new("alpha").unwrap(), ConId(4), Quantity(1))],
        terms: vec![(ConId(3), terms())],
    };
    let Fact::Lifecycle { event, shares, terms } = read(&record) else {
        panic!("another fact");
    };
    let LifecycleKind::Assigned { quantity: -1, delivery: Some(delivery), .. } = event.kind else {
        panic!("{event:?}");
    };
    assert_eq!((delivery.con_id, delivery.quantity, delivery.price), (ConId(3), -100, 5));
    assert_eq!(shares, [("alpha".to_owned(), ConId(4), 1)]);
    assert_eq!(terms.len(), 1);
}

#[test]
fn the_other_records_arrive_under_their_names() {
    let order_id = OrderId(12);
    let hash = order().canonical_hash();
    let words = String::new;
    let report = ReconciliationReport {
        link_generation: 2,
        rounds: 3,
        complete: false,
        stirred: true,
        positions: vec![(ConId(4), Quantity(-6))],
        cash: vec![(Currency::USD, Money::from_micros(7))],
        open_orders: vec![("oib".to_owned(), PermId(70))],
        unresolved: vec!["why".to_owned()],
    };
    let Fact::Reconciled { report: read_report } = read(&Record::Reconciled { report }) else {
        panic!("another fact");
    };
    assert_eq!((read_report.complete, read_report.stirred), (false, true));
    assert_eq!(read_report.positions, [(ConId(4), -6)]);
    assert_eq!(read_report.cash, [(Currency::USD, 7)]);
    assert_eq!(read_report.open_orders, [("oib".to_owned(), 70)]);
    assert_eq!(read_report.link_generation, 2);
    let latch = Latch::Breaker { name: "loss".to_owned(), scope: "account".to_owned() };
    let halt_epoch = HaltEpoch(4);
    let records = [
        Record::Started {
            install: InstallId(1),
            account: AccountId("DU1".to_owned()),
            release: words(),
            configuration: words(),
            environment: words(),
        },
        Record::Sent { order_id, hash },
        Record::SendRefused { order_id, reason: words() },
        Record::Acknowledged { order_id, perm_id: PermId(70) },
        Record::Modified { order_id, limit: Price::ZERO, quantity: Quantity(5) },
        Record::ModifyRejected { order_id, code: 104 },
        Record::Unknown { order_id, reason: words() },
        Record::Abandoned { order_id, proof: "proof".to_owned() },
        Record::Reappeared { order_id, perm_id: PermId(70) },
        Record::Busted { exec_id: fill().exec_id },
        Record::ComboChecked {
            execution: ComboExecution {
                exec_id: fill().exec_id,
                order_id,
                perm_id: PermId(70),
                quantity: Quantity(1),
                price: Price::ZERO,
            },
        },
        Record::ContractRestricted { con_id: ConId(4), restricted: true, reason: words() },
        Record::Tripped {
            latch: latch.clone(),
            state: TradingState::Halted,
            reason: words(),
            halt_epoch,
        },
        Record::Released { latch, by: words(), halt_epoch },
        Record::Tripped {
            latch: Latch::Quarantine(StrategyId::new("alpha").unwrap()),
            state: TradingState::ReduceOnly,
            reason: words(),
            halt_epoch,
        },
    ];
    for record in records {
        assert_eq!(read(&record).kind(), record.kind(), "{}", record.name());
    }
    let ends = [
        (trading::report::EndState::Filled, EndState::Filled),
        (trading::report::EndState::Canceled, EndState::Canceled),
        (trading::report::EndState::Expired, EndState::Expired),
        (trading::report::EndState::Rejected, EndState::Rejected),
        (trading::report::EndState::Inactive, EndState::Inactive),
    ];
    for (end, expected) in ends {
        let fact = read(&Record::Ended { order_id, end, detail: words() });
        assert_eq!(fact, Fact::Ended { order_id: 12, end: expected });
    }
}

#[test]
fn every_kind_of_the_desk_is_known() {
    for (kind, name) in Record::KINDS {
        let reading = fact::read(*kind, SCHEMA_VERSION, &[]);
        assert!(!matches!(reading, Ok(Reading::UnknownKind)), "{name}");
    }
}
