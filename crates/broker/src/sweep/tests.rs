//! A sweep against a broker that is slow, breaks off, and tells less than it knows.

use super::*;
use proptest::prelude::*;

const OWN: i32 = 3;

fn at(milliseconds: u64) -> ProcessTime {
    ProcessTime::from_nanos(milliseconds * 1_000_000)
}

fn sweep() -> Sweep {
    Sweep::new(OWN, SweepDeadlines { connected: at(15_000), done: at(60_000) })
}

fn order(order_id: i32, client: i32, reference: &str) -> WorkingOrder {
    let perm_id = i64::from(client * 1_000 + order_id);
    WorkingOrder { perm_id, order_id, client, reference: reference.to_owned() }
}

fn open(orders: &[WorkingOrder]) -> SweepEvent {
    SweepEvent::Open { orders: orders.to_vec(), missing: None }
}

fn ours(reference: &str) -> bool {
    reference == "ours"
}

#[test]
fn one_empty_answer_is_not_the_end() {
    let mut sweep = sweep();
    assert_eq!(sweep.on(SweepEvent::Connected, ours, at(0)), SweepStep::AskOpen(at(0)));
    assert_eq!(sweep.on(open(&[]), ours, at(1)), SweepStep::AskOpen(at(501)));
    // One that was under way.
    let late = order(7, OWN, "ours");
    assert_eq!(
        sweep.on(open(std::slice::from_ref(&late)), ours, at(501)),
        SweepStep::Cancel(vec![7])
    );
    assert_eq!(sweep.on(SweepEvent::Written, ours, at(502)), SweepStep::AskOpen(at(752)));
    assert_eq!(sweep.on(open(&[]), ours, at(752)), SweepStep::AskOpen(at(1_252)));
    assert_eq!(sweep.on(open(&[]), ours, at(1_252)), SweepStep::AskEnded);
    let ended = EndedOrder { perm_id: late.perm_id, ending: Ending::Canceled, filled: 2.0 };
    assert_eq!(sweep.on(SweepEvent::Ended(vec![ended]), ours, at(1_253)), SweepStep::Done);
    assert!(sweep.is_confirmed());
    let outcomes: Vec<_> = sweep.orders().map(|one| one.outcome.clone()).collect();
    assert_eq!(outcomes, [Outcome::Ended(Ending::Canceled, 2.0)]);
}

#[test]
fn a_link_that_breaks_midway_is_made_again_and_nothing_seen_is_forgotten() {
    let mut sweep = sweep();
    sweep.on(SweepEvent::Connected, ours, at(0));
    let both = [order(1, OWN, "ours"), order(2, OWN, "ours")];
    assert_eq!(sweep.on(open(&both), ours, at(1)), SweepStep::Cancel(vec![1, 2]));
    let lost = SweepEvent::Lost { reason: "reset".to_owned() };
    assert_eq!(sweep.on(lost, ours, at(2)), SweepStep::Connect(at(502)));
    sweep.on(SweepEvent::Connected, ours, at(502));
    // The second cancel never arrived: it goes out at once, however short ago the first was.
    assert_eq!(sweep.on(open(&both[1..]), ours, at(503)), SweepStep::Cancel(vec![2]));
    assert_eq!((sweep.orders().count(), sweep.connections()), (2, 2));
}

#[test]
fn an_answer_with_unreadable_orders_cancels_the_readable_and_is_never_the_end() {
    let mut sweep = sweep();
    sweep.on(SweepEvent::Connected, ours, at(0));
    let part = |orders: &[WorkingOrder]| SweepEvent::Open {
        orders: orders.to_vec(),
        missing: Some("a row can't be read".to_owned()),
    };
    let one = order(1, OWN, "ours");
    assert_eq!(sweep.on(part(&[one]), ours, at(1)), SweepStep::Cancel(vec![1]));
    for round in 1..50 {
        let step = sweep.on(part(&[]), ours, at(round * 250));
        assert!(matches!(step, SweepStep::AskOpen(_)), "{step:?}");
    }
    assert_eq!(sweep.on(part(&[]), ours, at(60_000)), SweepStep::AskEnded);
    assert!(!sweep.is_confirmed());
    assert_eq!(sweep.trouble(), Some("a row can't be read"));
}

#[test]
fn orders_of_others_are_left_and_ours_of_another_client_don_t_hold_it_up() {
    let mut sweep = sweep();
    sweep.on(SweepEvent::Connected, ours, at(0));
    let all = [order(1, 8, "ours"), order(2, OWN, "theirs"), order(-3, 0, "")];
    assert!(matches!(sweep.on(open(&all), ours, at(1)), SweepStep::AskOpen(_)));
    assert_eq!(sweep.on(open(&all), ours, at(600)), SweepStep::AskEnded);
    sweep.on(SweepEvent::Ended(Vec::new()), ours, at(601));
    assert_eq!(sweep.others(), 2);
    let left: Vec<_> = sweep.orders().map(|one| (one.order.order_id, &one.outcome)).collect();
    assert_eq!(left, [(1, &Outcome::Works)]);
}

#[test]
fn without_a_first_connection_it_gives_up_early() {
    let mut sweep = sweep();
    let lost = || SweepEvent::Lost { reason: "refused".to_owned() };
    assert!(matches!(sweep.on(lost(), ours, at(14_999)), SweepStep::Connect(_)));
    assert_eq!(sweep.on(lost(), ours, at(15_000)), SweepStep::Done);
    assert!(!sweep.is_confirmed());
}

#[test]
fn a_cancel_without_an_effect_is_sent_again_but_not_with_every_question() {
    let mut sweep = sweep();
    sweep.on(SweepEvent::Connected, ours, at(0));
    let stubborn = [order(1, OWN, "ours")];
    let mut cancels = 0;
    for round in 0..40 {
        let step = sweep.on(open(&stubborn), ours, at(round * 250));
        cancels += u32::from(matches!(step, SweepStep::Cancel(_)));
    }
    assert_eq!(cancels, 5, "once every two seconds of ten");
}

/// What happens at the broker between a question and its answer.
#[derive(Clone, Copy, Debug)]
enum Luck {
    Well,
    Breaks,
    PartOfIt,
    /// A cancel that was sent has no effect.
    Deaf,
    /// One more order of ours arrives.
    Late,
}

proptest! {
    #[test]
    fn it_ends_within_its_deadline_and_a_confirmed_end_is_true(
        luck in prop::collection::vec(
            prop_oneof![
                4 => Just(Luck::Well), 1 => Just(Luck::Breaks), 1 => Just(Luck::PartOfIt),
                1 => Just(Luck::Deaf), 1 => Just(Luck::Late),
            ],
            1..60,
        ),
        first in prop::collection::vec((1..50_i32, 2..5_i32, any::<bool>()), 0..8),
    ) {
        let mut sweep = sweep();
        let mut works: BTreeMap<(i32, i32), WorkingOrder> = BTreeMap::new();
        for (number, client, is_ours) in first {
            let reference = if is_ours { "ours" } else { "theirs" };
            works.insert((client, number), order(number, client, reference));
        }
        let mine = |one: &WorkingOrder| one.client == OWN && ours(&one.reference);
        let ever = works.values().filter(|one| ours(&one.reference)).count();
        let (mut now, mut late) = (0, 0);
        let mut luck = luck.into_iter().chain(std::iter::repeat(Luck::Well));
        let mut step = SweepStep::Connect(at(0));
        for _ in 0..2_000 {
            let today = luck.next().unwrap();
            if matches!(today, Luck::Late) && late < 5 && !sweep.is_confirmed() {
                late += 1;
                works.insert((OWN, 100 + late), order(100 + late, OWN, "ours"));
            }
            now += 3;
            let event = match &step {
                SweepStep::Done => break,
                SweepStep::Connect(when) | SweepStep::AskOpen(when) if *when > at(now) => {
                    now = when.nanos() / 1_000_000;
                    continue;
                }
                _ if matches!(today, Luck::Breaks) => {
                    SweepEvent::Lost { reason: "broken".to_owned() }
                }
                SweepStep::Connect(_) => SweepEvent::Connected,
                SweepStep::AskOpen(_) => {
                    let all: Vec<_> = works.values().cloned().collect();
                    match today {
                        Luck::PartOfIt => SweepEvent::Open {
                            orders: all[..all.len() / 2].to_vec(),
                            missing: Some("cut".to_owned()),
                        },
                        _ => SweepEvent::Open { orders: all, missing: None },
                    }
                }
                SweepStep::Cancel(numbers) => {
                    for number in numbers {
                        let own = works.get(&(OWN, *number)).is_some_and(mine);
                        prop_assert!(own, "{} is not ours to cancel", number);
                        if !matches!(today, Luck::Deaf) {
                            works.remove(&(OWN, *number));
                        }
                    }
                    SweepEvent::Written
                }
                SweepStep::AskEnded => SweepEvent::Ended(Vec::new()),
            };
            step = sweep.on(event, ours, at(now));
            if sweep.is_confirmed() {
                prop_assert!(!works.values().any(mine), "confirmed while {:?}", works);
            }
        }
        prop_assert_eq!(&step, &SweepStep::Done);
        prop_assert!(sweep.is_confirmed() || now >= 15_000);
        // What was ours at the beginning and told whole at least once is in the report.
        let seen = sweep.orders().count();
        prop_assert!(!sweep.is_confirmed() || seen >= ever, "{} of {}", seen, ever);
    }
}
