//! The reconciler: asks the broker where things stand until two rounds of answers agree.
//!
//! One round asks every [`Question`] in order, each with a deadline. Live reports go on to the desk
//! meanwhile and are folded at once; a round during which one came proves nothing, so it is asked
//! again. After [`ReconcilePolicy::rounds_max`] rounds the result is handed over as incomplete.
//! What the answers mean is the desk's business.

use market::instrument::ConId;
use market::money::{Currency, Money, Quantity};
use market::time::ProcessTime;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use trading::report::{Answer, CompletedOrder, OpenOrder, Question, Report};

/// How the broker is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReconcilePolicy {
    /// How long one answer may take.
    pub answer: Duration,
    /// The time between two reconciliations without a reason.
    pub interval: Duration,
    /// The least time between the ends of two, and before a failed one is tried again.
    pub pause: Duration,
    /// Rounds after which it is given up as incomplete.
    pub rounds_max: u32,
}

impl Default for ReconcilePolicy {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(10),
            interval: Duration::from_secs(60),
            pause: Duration::from_secs(1),
            rounds_max: 10,
        }
    }
}

/// What happens to the reconciler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReconcileEvent {
    /// The broker link changed.
    Link {
        /// It answers.
        up: bool,
        /// Its generation.
        generation: u32,
    },
    /// Someone wants a reconciliation.
    Request {
        /// Why.
        reason: String,
    },
    /// A complete answer, within the link generation of the question.
    Answer(Box<Answer>),
    /// The broker reported something live.
    LiveReport,
    /// A deadline was reached.
    Wake,
}

/// What the shell carries out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReconcileEffect {
    /// Ask this.
    Ask(Question),
    /// Hand the result to the desk.
    Done(Box<RoundResult>),
    /// Tell a person.
    Alarm(String),
}

/// A finished reconciliation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundResult {
    /// The link generation within which all of it was asked.
    pub link_generation: u32,
    /// Rounds asked.
    pub rounds: u32,
    /// Two rounds agreed, with no live report between them.
    pub complete: bool,
    /// When the last round began: what was sent later may be missing without meaning.
    pub started: ProcessTime,
    /// Working orders.
    pub open: Vec<OpenOrder>,
    /// Ended orders.
    pub completed: Vec<CompletedOrder>,
    /// Executions, busts, fees and lifecycle events, oldest first.
    pub reports: Vec<Report>,
    /// Signed positions.
    pub positions: Vec<(ConId, Quantity)>,
    /// Cash per currency.
    pub cash: Vec<(Currency, Money)>,
}

/// The answers of one round.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
struct Round {
    open: Vec<OpenOrder>,
    completed: Vec<CompletedOrder>,
    reports: Vec<Report>,
    positions: Vec<(ConId, Quantity)>,
    cash: Vec<(Currency, Money)>,
}

/// A round that is being asked.
#[derive(Clone, Debug)]
struct Asking {
    question: usize,
    deadline: ProcessTime,
    round: Round,
    /// The last round, if nothing came since it began.
    previous: Option<Round>,
    disturbed: bool,
    rounds: u32,
    started: ProcessTime,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Reconciler {
    policy: ReconcilePolicy,
    link_up: bool,
    link_generation: u32,
    wanted: bool,
    /// When the next one may begin, and why it would.
    next: ProcessTime,
    asking: Option<Box<Asking>>,
}

impl Reconciler {
    /// A reconciler that waits for a link.
    #[must_use]
    pub const fn new(policy: ReconcilePolicy) -> Self {
        Self {
            policy,
            link_up: false,
            link_generation: 0,
            wanted: true,
            next: ProcessTime::ZERO,
            asking: None,
        }
    }

    /// Takes one event and answers what is to be done.
    pub fn on(&mut self, event: ReconcileEvent, now: ProcessTime) -> Vec<ReconcileEffect> {
        let mut effects = Vec::new();
        match event {
            ReconcileEvent::Link { up, generation } => {
                if !up || generation != self.link_generation {
                    self.asking = None;
                    self.next = now;
                    self.wanted = true;
                }
                self.link_up = up;
                self.link_generation = generation;
            }
            ReconcileEvent::Request { .. } => self.wanted = true,
            ReconcileEvent::Answer(answer) => self.on_answer(*answer, now, &mut effects),
            ReconcileEvent::LiveReport => {
                if let Some(asking) = &mut self.asking {
                    asking.disturbed = true;
                }
            }
            ReconcileEvent::Wake => {}
        }
        if let Some(asking) = &self.asking
            && asking.deadline <= now
        {
            let question = Question::ALL[asking.question];
            self.give_up(&format!("{question:?} was not answered"), now, &mut effects);
        }
        let due = self.wanted && self.next <= now
            || self.next.since(ProcessTime::ZERO) + self.policy.interval
                <= now.since(ProcessTime::ZERO);
        if self.link_up && self.asking.is_none() && due {
            self.wanted = false;
            self.ask_round(None, 1, now, &mut effects);
        }
        effects
    }

    fn ask_round(
        &mut self,
        previous: Option<Round>,
        rounds: u32,
        now: ProcessTime,
        effects: &mut Vec<ReconcileEffect>,
    ) {
        self.asking = Some(Box::new(Asking {
            question: 0,
            deadline: now + self.policy.answer,
            round: Round::default(),
            previous,
            disturbed: false,
            rounds,
            started: now,
        }));
        effects.push(ReconcileEffect::Ask(Question::ALL[0]));
    }

    fn on_answer(&mut self, answer: Answer, now: ProcessTime, effects: &mut Vec<ReconcileEffect>) {
        let Some(asking) = &mut self.asking else {
            return;
        };
        let Asking { question, deadline, round, previous, disturbed, rounds, started } =
            &mut **asking;
        // A late answer to an earlier question must not pass for this one's.
        match (Question::ALL[*question], answer) {
            (Question::OpenOrders, Answer::OpenOrders(mut open)) => {
                open.sort_by_key(|order| order.perm_id);
                round.open = open;
            }
            (Question::CompletedOrders, Answer::CompletedOrders(mut completed)) => {
                completed.sort_by_key(|order| order.perm_id);
                round.completed = completed;
            }
            (Question::Executions, Answer::Executions(reports)) => round.reports = reports,
            (Question::Positions, Answer::Positions { mut positions, mut cash }) => {
                positions.retain(|(_, quantity)| !quantity.is_zero());
                positions.sort_unstable();
                cash.sort_unstable();
                round.positions = positions;
                round.cash = cash;
            }
            _ => return,
        }
        if *question + 1 < Question::ALL.len() {
            *question += 1;
            *deadline = now + self.policy.answer;
            effects.push(ReconcileEffect::Ask(Question::ALL[*question]));
            return;
        }
        let agrees = previous.as_ref() == Some(round) && !*disturbed;
        let rounds = *rounds;
        if agrees || rounds >= self.policy.rounds_max {
            let started = *started;
            let round = std::mem::take(round);
            self.finish(round, agrees, rounds, started, now, effects);
        } else {
            let basis = (!*disturbed).then(|| std::mem::take(round));
            self.ask_round(basis, rounds + 1, now, effects);
        }
    }

    fn finish(
        &mut self,
        round: Round,
        complete: bool,
        rounds: u32,
        started: ProcessTime,
        now: ProcessTime,
        effects: &mut Vec<ReconcileEffect>,
    ) {
        self.asking = None;
        self.next = now + self.policy.pause;
        self.wanted |= !complete;
        effects.push(ReconcileEffect::Done(Box::new(RoundResult {
            link_generation: self.link_generation,
            rounds,
            complete,
            started,
            open: round.open,
            completed: round.completed,
            reports: round.reports,
            positions: round.positions,
            cash: round.cash,
        })));
    }

    fn give_up(&mut self, why: &str, now: ProcessTime, effects: &mut Vec<ReconcileEffect>) {
        let Some(asking) = &self.asking else {
            return;
        };
        let (rounds, started) = (asking.rounds, asking.started);
        effects.push(ReconcileEffect::Alarm(format!(
            "reconciliation gave up in round {rounds}: {why}"
        )));
        self.finish(Round::default(), false, rounds, started, now, effects);
    }

    /// When the reconciler wants to be woken, and why.
    #[must_use]
    pub fn next_wake(&self) -> Option<(ProcessTime, &'static str)> {
        if !self.link_up {
            return None;
        }
        Some(match &self.asking {
            Some(asking) => (asking.deadline, "broker's answer"),
            None if self.wanted => (self.next, "reconciliation asked for"),
            None => (self.next + self.policy.interval, "periodic reconciliation"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(question: Question) -> Answer {
        match question {
            Question::OpenOrders => Answer::OpenOrders(vec![]),
            Question::CompletedOrders => Answer::CompletedOrders(vec![]),
            Question::Executions => Answer::Executions(vec![]),
            Question::Positions => {
                Answer::Positions { positions: vec![(ConId(1), Quantity(2))], cash: vec![] }
            }
        }
    }

    fn started() -> (Reconciler, Vec<ReconcileEffect>) {
        let mut machine = Reconciler::new(ReconcilePolicy::default());
        let link = ReconcileEvent::Link { up: true, generation: 1 };
        let effects = machine.on(link, ProcessTime::ZERO);
        (machine, effects)
    }

    /// Answers everything that is asked; reports live in the given rounds.
    fn run(disturbed_rounds: &[u32]) -> RoundResult {
        let (mut machine, mut effects) = started();
        let mut asked = 0;
        loop {
            match effects.pop() {
                Some(ReconcileEffect::Ask(question)) => {
                    asked += 1;
                    if disturbed_rounds.contains(&(asked / 4)) {
                        machine.on(ReconcileEvent::LiveReport, ProcessTime::ZERO);
                    }
                    let event = ReconcileEvent::Answer(Box::new(answer(question)));
                    effects = machine.on(event, ProcessTime::ZERO);
                }
                Some(ReconcileEffect::Done(result)) => return *result,
                other => panic!("stuck at {other:?}"),
            }
        }
    }

    #[test]
    fn two_equal_rounds_are_complete() {
        let result = run(&[]);
        assert!(result.complete);
        assert_eq!((result.rounds, result.link_generation), (2, 1));
    }

    #[test]
    fn a_live_report_makes_it_ask_again() {
        let result = run(&[0, 1]);
        assert!(result.complete && result.rounds > 2);
    }

    #[test]
    fn a_restless_account_is_given_up_as_incomplete() {
        let result = run(&(0..40).collect::<Vec<u32>>());
        assert!(!result.complete);
        assert_eq!(result.rounds, ReconcilePolicy::default().rounds_max);
    }

    #[test]
    fn silence_ends_it_and_it_is_tried_again_after_the_pause() {
        let (mut machine, _) = started();
        let (deadline, _) = machine.next_wake().unwrap();
        let effects = machine.on(ReconcileEvent::Wake, deadline);
        assert!(matches!(&effects[..], [ReconcileEffect::Alarm(_), ReconcileEffect::Done(done)]
            if !done.complete));
        let (again, _) = machine.next_wake().unwrap();
        assert_eq!(again, deadline + ReconcilePolicy::default().pause);
        let effects = machine.on(ReconcileEvent::Wake, again);
        assert_eq!(effects, [ReconcileEffect::Ask(Question::OpenOrders)]);
    }

    #[test]
    fn an_answer_from_another_question_or_link_counts_for_nothing() {
        let (mut machine, _) = started();
        let stray = ReconcileEvent::Answer(Box::new(answer(Question::Positions)));
        assert_eq!(machine.on(stray, ProcessTime::ZERO), []);
        let link = ReconcileEvent::Link { up: true, generation: 2 };
        let effects = machine.on(link, ProcessTime::ZERO);
        assert_eq!(effects, [ReconcileEffect::Ask(Question::OpenOrders)]);
    }
}
