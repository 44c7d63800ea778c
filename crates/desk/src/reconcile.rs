//! The reconciler: asks the broker where things stand until two rounds of answers agree.
//!
//! One round asks every [`Question`] in order, each with a deadline. Live reports go on to the desk
//! meanwhile and are folded at once; a round during which one came proves nothing, so it is asked
//! again. After [`ReconcilePolicy::rounds_max`] rounds the last one is handed over as stirred: on a
//! busy account no two rounds may ever agree, and it still tells what it is about orders of which
//! nothing is heard. What the answers mean is the desk's business.
//!
//! A periodic one of a link that has been reconciled asks only for the executions since shortly
//! before the last that was told: its cost does not grow with the day. Whoever has a doubt requests
//! one, and that one asks for all.

use market::instrument::ConId;
use market::money::{Currency, Money, Quantity};
use market::time::{ProcessTime, Timestamp};
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
    /// Rounds after which agreement is given up and the last one handed over.
    pub rounds_max: u32,
    /// All executions are asked for at least this often.
    pub all_executions: Duration,
    /// Otherwise those so long before the last one that was told, and later: a broker may tell an
    /// execution after later ones.
    pub overlap: Duration,
}

impl Default for ReconcilePolicy {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(10),
            interval: Duration::from_secs(60),
            pause: Duration::from_secs(1),
            rounds_max: 5,
            all_executions: Duration::from_secs(15 * 60),
            overlap: Duration::from_secs(10 * 60),
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

/// What the answers of a reconciliation are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    /// Two rounds agreed, with no live report between them: all of it holds.
    Agreed,
    /// Every question was answered, and reports came meanwhile: positions and cash prove nothing;
    /// an order of which nothing was heard is where the lists have it.
    Stirred,
    /// A question was not answered to its end: nothing follows.
    Unanswered,
}

/// A finished reconciliation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundResult {
    /// The link generation within which all of it was asked.
    pub link_generation: u32,
    /// Rounds asked.
    pub rounds: u32,
    /// What its answers are worth.
    pub agreement: Agreement,
    /// When the last round began: what was sent later may be missing without meaning.
    pub started: ProcessTime,
    /// Working orders.
    pub open: Vec<OpenOrder>,
    /// Ended orders.
    pub completed: Vec<CompletedOrder>,
    /// Executions were asked from here on; `None`: all that the broker keeps.
    pub since: Option<Timestamp>,
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
    asked: Asked,
    question: usize,
    deadline: ProcessTime,
    round: Round,
    /// The last round, if nothing came since it began.
    previous: Option<Round>,
    disturbed: bool,
}

/// What is told of a round besides its answers.
#[derive(Clone, Copy, Debug)]
struct Asked {
    since: Option<Timestamp>,
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
    /// The next one asks for all executions, whatever was told: a link or a doubt is new.
    doubt: bool,
    /// When all executions are due again.
    all_due: ProcessTime,
    /// The latest execution or event that a complete one of this link was told.
    told: Option<Timestamp>,
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
            doubt: true,
            all_due: ProcessTime::ZERO,
            told: None,
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
                    self.doubt = true;
                }
                self.link_up = up;
                self.link_generation = generation;
            }
            ReconcileEvent::Request { .. } => {
                self.wanted = true;
                self.doubt = true;
            }
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
            let question = Question::all(asking.asked.since)[asking.question];
            self.give_up(&format!("{question:?} was not answered"), now, &mut effects);
        }
        let due = self.wanted && self.next <= now
            || self.next.since(ProcessTime::ZERO) + self.interval() <= now.since(ProcessTime::ZERO);
        if self.link_up && self.asking.is_none() && due {
            self.wanted = false;
            let all = std::mem::take(&mut self.doubt) || self.all_due <= now;
            let told = self.told.filter(|_| !all);
            let since = told.map(|told| told.minus(self.policy.overlap));
            if since.is_none() {
                self.all_due = now + self.policy.all_executions;
            }
            let asked = Asked { since, rounds: 1, started: now };
            self.ask_round(asked, None, &mut effects);
        }
        effects
    }

    fn ask_round(
        &mut self,
        asked: Asked,
        previous: Option<Round>,
        effects: &mut Vec<ReconcileEffect>,
    ) {
        self.asking = Some(Box::new(Asking {
            asked,
            question: 0,
            deadline: asked.started + self.policy.answer,
            round: Round::default(),
            previous,
            disturbed: false,
        }));
        effects.push(ReconcileEffect::Ask(Question::all(asked.since)[0]));
    }

    fn on_answer(&mut self, answer: Answer, now: ProcessTime, effects: &mut Vec<ReconcileEffect>) {
        let Some(asking) = &mut self.asking else {
            return;
        };
        let Asking { asked, question, deadline, round, previous, disturbed } = &mut **asking;
        let asked = *asked;
        let questions = Question::all(asked.since);
        // A late answer to an earlier question must not pass for this one's.
        match (questions[*question], answer) {
            (Question::OpenOrders, Answer::OpenOrders(mut open)) => {
                open.sort_by_key(|order| order.perm_id);
                round.open = open;
            }
            (Question::CompletedOrders, Answer::CompletedOrders(mut completed)) => {
                completed.sort_by_key(|order| order.perm_id);
                round.completed = completed;
            }
            (Question::Executions { .. }, Answer::Executions(reports)) => round.reports = reports,
            (Question::Positions, Answer::Positions { mut positions, mut cash }) => {
                positions.retain(|(_, quantity)| !quantity.is_zero());
                positions.sort_unstable();
                cash.sort_unstable();
                round.positions = positions;
                round.cash = cash;
            }
            _ => return,
        }
        if *question + 1 < questions.len() {
            *question += 1;
            *deadline = now + self.policy.answer;
            effects.push(ReconcileEffect::Ask(questions[*question]));
            return;
        }
        let agrees = previous.as_ref() == Some(round) && !*disturbed;
        if agrees || asked.rounds >= self.policy.rounds_max {
            let round = std::mem::take(round);
            let agreement = if agrees { Agreement::Agreed } else { Agreement::Stirred };
            self.finish(asked, round, agreement, now, effects);
        } else {
            let basis = (!*disturbed).then(|| std::mem::take(round));
            let again = Asked { rounds: asked.rounds + 1, started: now, ..asked };
            self.ask_round(again, basis, effects);
        }
    }

    fn finish(
        &mut self,
        asked: Asked,
        round: Round,
        agreement: Agreement,
        now: ProcessTime,
        effects: &mut Vec<ReconcileEffect>,
    ) {
        self.asking = None;
        self.next = now + self.policy.pause;
        self.wanted |= agreement != Agreement::Agreed;
        if agreement == Agreement::Agreed {
            self.told = round.reports.iter().filter_map(time_of).max().max(self.told);
        } else {
            // Until one agrees the next asks for all: a desk that isn't ready takes no other's
            // word.
            self.doubt = true;
        }
        effects.push(ReconcileEffect::Done(Box::new(RoundResult {
            link_generation: self.link_generation,
            rounds: asked.rounds,
            agreement,
            started: asked.started,
            open: round.open,
            completed: round.completed,
            since: asked.since,
            reports: round.reports,
            positions: round.positions,
            cash: round.cash,
        })));
    }

    fn give_up(&mut self, why: &str, now: ProcessTime, effects: &mut Vec<ReconcileEffect>) {
        let Some(asking) = &self.asking else {
            return;
        };
        let asked = asking.asked;
        effects.push(ReconcileEffect::Alarm(format!(
            "reconciliation gave up in round {}: {why}",
            asked.rounds
        )));
        self.finish(asked, Round::default(), Agreement::Unanswered, now, effects);
    }

    fn interval(&self) -> Duration {
        match self.policy.interval {
            _ if mutation::active("ask_only_on_request") => Duration::from_secs(86_400),
            interval => interval,
        }
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
            None => (self.next + self.interval(), "periodic reconciliation"),
        })
    }
}

/// When what a report tells happened, by the broker.
const fn time_of(report: &Report) -> Option<Timestamp> {
    match report {
        Report::Execution(fill) => Some(fill.time),
        Report::Lifecycle(event) => Some(event.time),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trading::lifecycle::{LifecycleEvent, LifecycleId, LifecycleKind};

    fn answer(question: Question) -> Answer {
        match question {
            Question::OpenOrders => Answer::OpenOrders(vec![]),
            Question::CompletedOrders => Answer::CompletedOrders(vec![]),
            Question::Executions { .. } => Answer::Executions(vec![]),
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
        assert_eq!(result.agreement, Agreement::Agreed);
        assert_eq!((result.rounds, result.link_generation), (2, 1));
    }

    #[test]
    fn a_live_report_makes_it_ask_again() {
        let result = run(&[0, 1]);
        assert_eq!(result.agreement, Agreement::Agreed);
        assert!(result.rounds > 2);
    }

    #[test]
    fn a_restless_account_is_handed_over_with_its_last_answers() {
        let result = run(&(0..40).collect::<Vec<u32>>());
        assert_eq!(result.agreement, Agreement::Stirred);
        assert_eq!(result.positions, [(ConId(1), Quantity(2))]);
        assert_eq!(result.rounds, ReconcilePolicy::default().rounds_max);
    }

    /// A link is new, reports never rest: the executions of the time without it are asked for until
    /// a reconciliation agrees, however many are handed over before.
    #[test]
    fn after_a_stirred_one_all_executions_are_asked_for_again() {
        let (mut machine, mut effects) = started();
        let mut asked_from = Vec::new();
        let mut now = ProcessTime::ZERO;
        let mut handed_over = 0;
        while handed_over < 3 {
            match effects.pop() {
                Some(ReconcileEffect::Ask(question)) => {
                    if let Question::Executions { since } = question {
                        asked_from.push(since);
                    }
                    machine.on(ReconcileEvent::LiveReport, now);
                    let event = ReconcileEvent::Answer(Box::new(answer(question)));
                    effects = machine.on(event, now);
                }
                Some(ReconcileEffect::Done(result)) => {
                    assert_eq!(result.agreement, Agreement::Stirred);
                    handed_over += 1;
                    (now, _) = machine.next_wake().unwrap();
                    effects = machine.on(ReconcileEvent::Wake, now);
                }
                other => panic!("stuck at {other:?}"),
            }
        }
        let rounds = 3 * ReconcilePolicy::default().rounds_max as usize;
        assert_eq!(asked_from, vec![None; rounds]);
    }

    #[test]
    fn silence_ends_it_and_it_is_tried_again_after_the_pause() {
        let (mut machine, _) = started();
        let (deadline, _) = machine.next_wake().unwrap();
        let effects = machine.on(ReconcileEvent::Wake, deadline);
        assert!(matches!(&effects[..], [ReconcileEffect::Alarm(_), ReconcileEffect::Done(done)]
            if done.agreement == Agreement::Unanswered));
        let (again, _) = machine.next_wake().unwrap();
        assert_eq!(again, deadline + ReconcilePolicy::default().pause);
        let effects = machine.on(ReconcileEvent::Wake, again);
        assert_eq!(effects, [ReconcileEffect::Ask(Question::OpenOrders)]);
    }

    /// Answers a whole reconciliation that is told one execution; returns what it asked with.
    fn reconcile(
        machine: &mut Reconciler,
        mut effects: Vec<ReconcileEffect>,
        time: Timestamp,
        now: ProcessTime,
    ) -> Option<Timestamp> {
        let event = LifecycleEvent {
            id: LifecycleId("event".into()),
            kind: LifecycleKind::Cash { amount: Money::ZERO },
            currency: Currency::USD,
            time,
        };
        let mut asked = None;
        loop {
            match effects.pop() {
                Some(ReconcileEffect::Ask(question)) => {
                    let answer = match question {
                        Question::Executions { since } => {
                            asked = since;
                            Answer::Executions(vec![Report::Lifecycle(event.clone())])
                        }
                        other => answer(other),
                    };
                    effects = machine.on(ReconcileEvent::Answer(Box::new(answer)), now);
                }
                Some(ReconcileEffect::Done(result)) => {
                    assert_eq!((result.agreement, result.since), (Agreement::Agreed, asked));
                    return asked;
                }
                other => panic!("stuck at {other:?}"),
            }
        }
    }

    #[test]
    fn a_periodic_one_asks_from_shortly_before_the_last_execution_and_a_doubt_for_all() {
        let policy = ReconcilePolicy::default();
        let (mut machine, effects) = started();
        let time = Timestamp::from_seconds(1_000_000);
        let mut now = ProcessTime::ZERO;
        assert_eq!(reconcile(&mut machine, effects, time, now), None, "a new link: all");
        let mut periodic = |machine: &mut Reconciler| {
            (now, _) = machine.next_wake().unwrap();
            let effects = machine.on(ReconcileEvent::Wake, now);
            reconcile(machine, effects, time, now)
        };
        let recent = Some(time.minus(policy.overlap));
        assert_eq!(periodic(&mut machine), recent);
        machine.on(ReconcileEvent::Request { reason: "a gap".into() }, ProcessTime::ZERO);
        assert_eq!(periodic(&mut machine), None, "a doubt: all");
        let all = (0..20).map(|_| periodic(&mut machine)).filter(Option::is_none).count();
        assert_eq!(all, 1, "all of them every {:?}", policy.all_executions);
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
