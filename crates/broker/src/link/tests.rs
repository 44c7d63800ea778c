//! The link by its stories, and by properties over every input in every state.

use super::*;
use crate::downtime::{DowntimeRow, DowntimeSettings, Weekday};
use market::time::Timestamp;
use proptest::prelude::*;

/// Midnight, a Wednesday, UTC.
const MIDNIGHT: Timestamp = Timestamp::from_seconds(1_795_564_800);
const MINUTE: u64 = 60_000;

fn at(ms: u64) -> Now {
    let process = ProcessTime::from_nanos(ms * 1_000_000);
    Now { market: MIDNIGHT.plus(Duration::from_millis(ms)), process }
}

fn passed(now: ProcessTime) -> u64 {
    now.nanos() / 1_000_000
}

/// Each day `minute` minutes after midnight.
fn daily(kind: DowntimeKind, minute: u32, minutes: u32) -> DowntimeSchedule {
    let days = [
        Weekday::Sunday,
        Weekday::Monday,
        Weekday::Tuesday,
        Weekday::Wednesday,
        Weekday::Thursday,
        Weekday::Friday,
        Weekday::Saturday,
    ];
    let at = format!("{:02}:{:02}", minute / 60, minute % 60);
    let expected = vec![DowntimeRow { kind, days: days.to_vec(), at, minutes }];
    let settings = DowntimeSettings { zone: "UTC".to_owned(), freeze_minutes: 5, expected };
    DowntimeSchedule::new(&settings).unwrap()
}

fn link(downtime: DowntimeSchedule) -> BrokerLink {
    BrokerLink::new(LinkTiming::default(), downtime, 0, at(0))
}

fn reconciling(downtime: DowntimeSchedule) -> BrokerLink {
    let mut link = link(downtime);
    let _ = link.on(LinkInput::Wake, at(0));
    let _ = link.on(LinkInput::Connected, at(1));
    let effects = link.on(LinkInput::Wake, at(501));
    assert!(effects.contains(&LinkEffect::Reconcile { generation: 1 }));
    link
}

fn ready(downtime: DowntimeSchedule) -> BrokerLink {
    let mut link = reconciling(downtime);
    let _ = link.on(LinkInput::Reconciled { generation: 1 }, at(601));
    assert_eq!(link.state(), LinkState::Ready);
    link
}

/// What a world without a broker came to.
#[derive(Debug, Default)]
struct Seen {
    attempts: Vec<u64>,
    alarms: Vec<(u64, HumanCause)>,
}

/// Plays until `end_ms` with every attempt refused.
fn refuse_until(link: &mut BrokerLink, end_ms: u64) -> Seen {
    let mut seen = Seen::default();
    while let Some((due, _)) = link.next_wake()
        && passed(due) <= end_ms
    {
        let now = at(passed(due));
        let mut effects = link.on(LinkInput::Wake, now);
        if effects.iter().any(|effect| matches!(effect, LinkEffect::Connect { .. })) {
            seen.attempts.push(passed(due));
            effects.extend(link.on(LinkInput::Disconnected, now));
        }
        for effect in effects {
            if let LinkEffect::Alarm { cause } = effect {
                seen.alarms.push((passed(due), cause));
            }
        }
    }
    seen
}

/// Plays a world in which everything works until the link is Ready; answers when.
fn recover(link: &mut BrokerLink, mut now_ms: u64) -> u64 {
    let mut answers: Vec<(u64, LinkInput)> = Vec::new();
    for _ in 0..64 {
        if link.state() == LinkState::Ready {
            return now_ms;
        }
        answers.sort_by_key(|(due, _)| std::cmp::Reverse(*due));
        let wake = link.next_wake().map(|(due, _)| passed(due).max(now_ms));
        let input = match (answers.last(), wake) {
            (Some((due, input)), wake) if wake.is_none_or(|wake| *due <= wake) => {
                let (due, input) = (*due, *input);
                now_ms = due;
                answers.pop();
                input
            }
            (_, Some(wake)) => {
                now_ms = wake;
                LinkInput::Wake
            }
            (_, None) => panic!("{:?} is a dead end", link.state()),
        };
        for effect in link.on(input, at(now_ms)) {
            match effect {
                // Answers of a connection that is gone reach nobody: the session drops them.
                LinkEffect::Disconnect => answers.clear(),
                LinkEffect::Connect { .. } => answers.push((now_ms + 100, LinkInput::Connected)),
                LinkEffect::Reconcile { generation } => {
                    answers.push((now_ms + 5_000, LinkInput::Reconciled { generation }));
                }
                LinkEffect::Publish { .. } | LinkEffect::Alarm { .. } => {}
            }
        }
    }
    panic!("{:?} for ever", link.state());
}

#[test]
fn ready_only_after_settling_and_a_reconciliation_of_its_own_generation() {
    let mut link = reconciling(DowntimeSchedule::none());
    assert_eq!(link.on(LinkInput::Reconciled { generation: 0 }, at(600)), []);
    assert_eq!(link.state(), LinkState::Reconciling);
    let _ = link.on(LinkInput::Reconciled { generation: 1 }, at(601));
    assert_eq!(link.state(), LinkState::Ready);
}

#[test]
fn a_broker_that_lost_its_own_connection_is_asked_again() {
    let mut link = ready(DowntimeSchedule::none());
    let _ = link.on(LinkInput::BrokerLost, at(700));
    assert_eq!(link.state(), LinkState::Degraded);
    let _ = link.on(LinkInput::BrokerBack, at(800));
    assert_eq!(link.state(), LinkState::Settling);
}

#[test]
fn attempts_back_off_to_the_longest_wait() {
    let mut link = link(DowntimeSchedule::none());
    let seen = refuse_until(&mut link, 5 * MINUTE);
    let waits: Vec<u64> = seen.attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits[..3], [250, 500, 1000]);
    assert_eq!(waits[9], 30_000);
    assert_eq!(link.generation() as usize, seen.attempts.len());
}

/// A gateway that takes connections and drops them is no reason to try four times a second.
#[test]
fn a_connection_that_is_ready_for_a_moment_only_does_not_shorten_the_waits() {
    let mut link = ready(DowntimeSchedule::none());
    let mut now = 601;
    let mut waits = Vec::new();
    for _ in 0..10 {
        let _ = link.on(LinkInput::Disconnected, at(now + 1_000));
        waits.push(passed(link.next_wake().unwrap().0) - now - 1_000);
        now = recover(&mut link, now + 1_000);
    }
    assert_eq!(waits[..3], [250, 500, 1000]);
    assert_eq!(waits[9], 30_000);
    // One that stood for a while does.
    let _ = link.on(LinkInput::Disconnected, at(now + 30_000));
    assert_eq!(passed(link.next_wake().unwrap().0), now + 30_250);
}

#[test]
fn a_broker_that_is_away_for_long_asks_for_a_person_once_and_is_tried_on_slowly() {
    let mut link = ready(DowntimeSchedule::none());
    let _ = link.on(LinkInput::Disconnected, at(MINUTE));
    let seen = refuse_until(&mut link, 60 * MINUTE);
    let [(when, cause)] = seen.alarms[..] else { panic!("{:?}", seen.alarms) };
    assert_eq!(cause, HumanCause::Unreachable);
    // Five minutes, and at most the longest wait more.
    assert!((6 * MINUTE..6 * MINUTE + 30_000).contains(&when), "{when}");
    assert_eq!((link.state(), link.human_cause()), (LinkState::NeedsHuman, Some(cause)));
    let late: Vec<&u64> = seen.attempts.iter().filter(|due| **due > when).collect();
    assert!(late.windows(2).all(|pair| pair[1] - pair[0] == MINUTE), "{late:?}");
}

/// LEAN's users were blind for days after a weekly login that nobody was told of.
#[test]
fn the_weekly_login_is_waited_for_calmly_and_asked_for_when_its_time_is_over() {
    let mut link = ready(daily(DowntimeKind::WeeklyLogin, 10, 15));
    // The gateway restarts a little after ten past midnight, and its login is over.
    let _ = link.on(LinkInput::Disconnected, at(11 * MINUTE));
    let calm = refuse_until(&mut link, 25 * MINUTE - 1);
    assert_eq!((calm.alarms.len(), link.state()), (0, LinkState::Down));
    // Fourteen minutes at half a minute.
    assert!(calm.attempts.len() <= 28, "{:?}", calm.attempts);
    let seen = refuse_until(&mut link, 25 * MINUTE);
    let cause = HumanCause::NotBackAfter(DowntimeKind::WeeklyLogin);
    assert_eq!(seen.alarms, [(25 * MINUTE, cause)]);
    assert_eq!(link.human_cause(), Some(cause));
    // The person logs in an hour later, and tells the node nothing.
    let _ = refuse_until(&mut link, 85 * MINUTE);
    let back = recover(&mut link, 85 * MINUTE);
    assert!(back <= 86 * MINUTE + 6_000, "{back}");
}

/// LEAN: 833 times 1100 in 15 hours, begun inside the reset window, and never escalated.
#[test]
fn a_broker_lost_inside_its_reset_is_no_alarm_until_the_reset_is_over() {
    let mut link = ready(daily(DowntimeKind::ServerReset, 10, 30));
    let mut now = 12 * MINUTE;
    let mut told = Vec::new();
    let _ = link.on(LinkInput::BrokerLost, at(now));
    // The gateway takes every connection and says each time that it has lost the broker.
    while now < 60 * MINUTE {
        now = passed(link.next_wake().expect("no dead end").0);
        let mut effects = link.on(LinkInput::Wake, at(now));
        if effects.iter().any(|effect| matches!(effect, LinkEffect::Connect { .. })) {
            effects.extend(link.on(LinkInput::Connected, at(now + 10)));
            effects.extend(link.on(LinkInput::BrokerLost, at(now + 20)));
        }
        told.extend(effects.into_iter().filter_map(|effect| match effect {
            LinkEffect::Alarm { cause } => Some((now, cause)),
            _ => None,
        }));
    }
    let [(when, cause)] = told[..] else { panic!("{told:?}") };
    assert_eq!(cause, HumanCause::NotBackAfter(DowntimeKind::ServerReset));
    // When the reset is over, and at most one connection's limit and a wait later.
    assert!((40 * MINUTE..43 * MINUTE).contains(&when), "{when}");
}

#[test]
fn a_restart_that_goes_well_is_nobodys_business() {
    let mut link = ready(daily(DowntimeKind::GatewayRestart, 10, 10));
    let _ = link.on(LinkInput::Disconnected, at(10 * MINUTE + 1_000));
    let seen = refuse_until(&mut link, 12 * MINUTE);
    assert_eq!(seen.alarms, []);
    assert!(seen.attempts.len() <= 4, "{:?}", seen.attempts);
    let back = recover(&mut link, 12 * MINUTE);
    assert!(back <= 12 * MINUTE + 36_000, "{back}");
}

/// The word that it is back may be lost, as any notice may.
#[test]
fn a_broker_that_is_lost_for_long_without_a_word_is_connected_anew() {
    let mut link = ready(DowntimeSchedule::none());
    let _ = link.on(LinkInput::BrokerLost, at(MINUTE));
    let back = recover(&mut link, MINUTE);
    assert!(back <= 3 * MINUTE + 7_000, "{back}");
    assert_eq!(link.generation(), 2);
}

#[test]
fn a_wrong_account_asks_for_a_person_once_and_its_correction_is_found() {
    let mut link = link(DowntimeSchedule::none());
    let _ = link.on(LinkInput::Wake, at(0));
    let effects = link.on(LinkInput::HumanNeeded, at(10));
    assert!(effects.contains(&LinkEffect::Alarm { cause: HumanCause::Asked }), "{effects:?}");
    assert_eq!(link.on(LinkInput::Disconnected, at(11)), []);
    for minute in 1..10 {
        let _ = link.on(LinkInput::Wake, at(minute * MINUTE + 10));
        let effects = link.on(LinkInput::HumanNeeded, at(minute * MINUTE + 10));
        assert!(!effects.iter().any(|one| matches!(one, LinkEffect::Alarm { .. })));
        assert_eq!(link.state(), LinkState::NeedsHuman);
    }
    let back = recover(&mut link, 10 * MINUTE);
    assert!(back <= 10 * MINUTE + 6_000, "{back}");
}

fn input() -> impl Strategy<Value = LinkInput> {
    prop_oneof![
        2 => Just(LinkInput::Connected),
        1 => Just(LinkInput::Disconnected),
        1 => (0_u32..4).prop_map(|generation| LinkInput::Reconciled { generation }),
        1 => Just(LinkInput::BrokerLost),
        1 => Just(LinkInput::BrokerBack),
        1 => Just(LinkInput::HumanNeeded),
        4 => Just(LinkInput::Wake),
    ]
}

/// With the word of the present generation now and then, so that Ready is reached.
fn step() -> impl Strategy<Value = (LinkInput, bool, u64)> {
    let wait = prop_oneof![0_u64..2_000, Just(30_000), Just(MINUTE), Just(6 * MINUTE)];
    (input(), any::<bool>(), wait)
}

fn schedule() -> impl Strategy<Value = DowntimeSchedule> {
    let kinds = prop_oneof![
        Just(DowntimeKind::GatewayRestart),
        Just(DowntimeKind::ServerReset),
        Just(DowntimeKind::WeeklyLogin)
    ];
    prop_oneof![
        Just(DowntimeSchedule::none()),
        (kinds, 0_u32..1_440, 1_u32..=360).prop_map(|(kind, at, long)| daily(kind, at, long)),
    ]
}

fn played(input: LinkInput, own: bool, link: &BrokerLink) -> LinkInput {
    match input {
        LinkInput::Reconciled { .. } if own => {
            LinkInput::Reconciled { generation: link.generation() }
        }
        other => other,
    }
}

/// How the broker of the property about attempts plays.
#[derive(Clone, Copy, Debug)]
enum Play {
    AnyHow,
    /// Ready for as long as the waits need to begin anew, after a few refusals.
    JustLongEnough,
    /// Ready for a moment, again and again.
    Flapping,
}

proptest! {
    #[test]
    fn nothing_but_a_reconciliation_of_this_generation_leads_to_ready(
        schedule in schedule(), steps in proptest::collection::vec(step(), 1..200)
    ) {
        let mut link = link(schedule.clone());
        let mut now_ms = 0;
        let mut told = false;
        for (input, own, wait) in steps {
            now_ms += wait;
            let input = played(input, own, &link);
            let before = (link.state(), link.generation());
            let effects = link.on(input, at(now_ms));
            if link.state() == LinkState::Ready && before.0 != LinkState::Ready {
                prop_assert_eq!(before.0, LinkState::Reconciling);
                prop_assert_eq!(input, LinkInput::Reconciled { generation: before.1 });
                told = false;
            }
            prop_assert!(link.generation() >= before.1);
            // No state but Ready waits for others alone.
            prop_assert_eq!(link.next_wake().is_none(), link.state() == LinkState::Ready);
            prop_assert_eq!(link.human_cause().is_some(), link.state() == LinkState::NeedsHuman);
            for effect in effects {
                if let LinkEffect::Alarm { cause } = effect {
                    prop_assert!(!std::mem::replace(&mut told, true), "told twice");
                    let calm = schedule.on(at(now_ms).market).is_some();
                    prop_assert!(!calm || cause == HumanCause::Asked, "an alarm in a downtime");
                }
            }
        }
    }

    /// The longest way: dropped at its limit, a wait, and then what any connection needs.
    #[test]
    fn from_every_state_a_world_that_works_leads_to_ready_without_help(
        schedule in schedule(), steps in proptest::collection::vec(step(), 0..100)
    ) {
        let mut link = link(schedule);
        let mut now_ms = 0;
        for (input, own, wait) in steps {
            now_ms += wait;
            let input = played(input, own, &link);
            let _ = link.on(input, at(now_ms));
        }
        let timing = LinkTiming::default();
        let bound = timing.unready_limit_ms
            + timing.probe_ms.max(timing.backoff_max_ms)
            + 100 + timing.settle_ms + 5_000;
        let back = recover(&mut link, now_ms);
        prop_assert!(back - now_ms <= bound, "{} ms", back - now_ms);
    }

    /// Whatever the broker does, and however cleverly: 500 attempts in any hour. The worst that it
    /// can do is to stay just long enough for the waits to begin anew.
    #[test]
    fn attempts_in_any_hour_are_bounded(
        schedule in schedule(),
        fates in proptest::collection::vec(
            (0_u8..6, prop_oneof![Just(0_u64), Just(29_999), Just(30_000), 0..40_000_u64]),
            1..900,
        ),
        failures_between in 0_usize..8,
        play in prop_oneof![Just(Play::AnyHow), Just(Play::JustLongEnough), Just(Play::Flapping)],
    ) {
        let mut link = link(schedule);
        let mut attempts: Vec<u64> = Vec::new();
        let mut now_ms = 0;
        for (number, (fate, stays)) in fates.into_iter().enumerate() {
            // To the next attempt.
            while !matches!(link.state(), LinkState::Connecting)
                && link.human_cause().is_none_or(|_| !matches!(link.stage, Stage::Probing(_)))
            {
                let (due, _) = link.next_wake().expect("no dead end");
                now_ms = passed(due).max(now_ms);
                let _ = link.on(LinkInput::Wake, at(now_ms));
            }
            attempts.push(now_ms);
            let last = number % (failures_between + 1) == failures_between;
            let (fate, stays) = match play {
                Play::JustLongEnough if last => (5, 30_000),
                Play::JustLongEnough => (0, 0),
                Play::Flapping => (5, stays % 1_000),
                Play::AnyHow => (fate, stays),
            };
            let connects = fate > 0;
            if connects {
                let _ = link.on(LinkInput::Connected, at(now_ms));
            }
            if fate > 1 {
                now_ms = passed(link.next_wake().expect("settling").0);
                let _ = link.on(LinkInput::Wake, at(now_ms));
            }
            if fate > 2 {
                let generation = link.generation();
                let _ = link.on(LinkInput::Reconciled { generation }, at(now_ms));
                now_ms += stays;
            }
            let end = match fate {
                3 => LinkInput::BrokerLost,
                4 => LinkInput::HumanNeeded,
                _ => LinkInput::Disconnected,
            };
            let _ = link.on(end, at(now_ms));
        }
        for (first, start) in attempts.iter().enumerate() {
            let within = attempts[first..].iter().take_while(|due| **due < start + 60 * MINUTE);
            let count = within.count();
            prop_assert!(count <= 500, "{count} attempts in an hour");
        }
    }
}
