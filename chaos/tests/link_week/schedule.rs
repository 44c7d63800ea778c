//! The seeded deck of a campaign: every kind of fault at every moment that it can have, drawn
//! without putting back, then shuffled anew.

use crate::random::Random;
use actors::runtime::protocol::ProtocolStep;
use broker::simulated::faults::{Arrival, Fault, LinkFault, Moment, ReportFault, Said};
use std::time::Duration;

/// What a card says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Card {
    /// Arm these at the venue.
    Link(Vec<Fault>),
    /// Kill this role now.
    Kill(&'static str),
    /// Kill this role when the next order reaches a step.
    KillAt(ProtocolStep, &'static str),
    /// The whole node dies, now or at a step.
    Crash(Option<ProtocolStep>),
    /// The next combo's connection closes between its legs, and this role dies with it; without a
    /// role the node does.
    BetweenLegs(Option<&'static str>),
}

fn seconds(random: &mut Random, low: u64, high: u64) -> Duration {
    Duration::from_millis(random.between(low * 1_000, high * 1_000))
}

/// One deck of all cards.
pub fn deck(random: &mut Random) -> Vec<Card> {
    let mut cards = Vec::new();
    let mut link = |at, fault| cards.push(Card::Link(vec![Fault::Link { at, fault }]));
    let said = [
        Said::Acknowledged,
        Said::Status,
        Said::Execution,
        Said::Leg,
        Said::ComboLine,
        Said::Fee,
        Said::Ended,
        Said::Modified,
    ];
    for at in [Moment::Now, Moment::Place, Moment::Modify, Moment::Cancel, Moment::Question] {
        link(at, LinkFault::Close);
    }
    for said in said {
        link(Moment::Heard(said), LinkFault::Close);
    }
    for at in [Moment::Place, Moment::Modify, Moment::Cancel] {
        link(at, LinkFault::Break(Arrival::InTime));
        link(at, LinkFault::Break(Arrival::Never));
        link(at, LinkFault::Mute { lasting: seconds(random, 1, 3) });
    }
    link(Moment::Place, LinkFault::Break(Arrival::After(seconds(random, 5, 20))));
    let heard = [Moment::Heard(Said::Acknowledged), Moment::Heard(Said::Leg)];
    let writes = [Moment::Now, Moment::Place, Moment::Modify, Moment::Cancel];
    for at in writes.into_iter().chain(heard) {
        link(at, LinkFault::HalfOpen { lasting: seconds(random, 5, 10) });
        link(at, LinkFault::Outage { lasting: seconds(random, 1, 60) });
        link(at, LinkFault::Restart { lasting: seconds(random, 1, 40) });
    }
    for _ in 0..2 {
        let fault = LinkFault::RollBack { numbers: random.between(1, 500) as i64 };
        cards.push(Card::Link(vec![
            Fault::Link { at: Moment::Now, fault },
            Fault::Link { at: Moment::Now, fault: LinkFault::Close },
        ]));
    }
    // Broken again while the fate of an order is not known.
    for again in [LinkFault::Close, LinkFault::HalfOpen { lasting: seconds(random, 5, 10) }] {
        let (lost, fault) = (LinkFault::Break(Arrival::Never), again);
        cards.push(Card::Link(vec![
            Fault::Link { at: Moment::Place, fault: lost },
            Fault::Link { at: Moment::Question, fault },
        ]));
    }
    let mut report = |said, fault| cards.push(Card::Link(vec![Fault::Report { said, fault }]));
    for said in said {
        report(said, ReportFault::Drop);
        report(said, ReportFault::Duplicate);
        report(said, ReportFault::Delay(seconds(random, 1, 8)));
    }
    for (said, by) in [
        (Said::Acknowledged, Said::Execution),
        (Said::Acknowledged, Said::Ended),
        (Said::Execution, Said::Fee),
        (Said::Execution, Said::Ended),
        (Said::Leg, Said::Leg),
        (Said::Leg, Said::Ended),
        (Said::ComboLine, Said::Leg),
        (Said::Modified, Said::Status),
    ] {
        report(said, ReportFault::OvertakenBy(by));
    }
    for role in ["session", "desk", "reconciler", "risk", "journal", "kill_switch", "feed/SIM"] {
        cards.push(Card::Kill(role));
    }
    cards.extend(["pricing/SIM", "strategy/debit", "strategy/gamma_scalper_sim"].map(Card::Kill));
    use ProtocolStep as Step;
    for step in [Step::Recorded, Step::Durable, Step::Sent, Step::Acked, Step::Filled] {
        cards.push(Card::KillAt(step, "desk"));
        cards.push(Card::KillAt(step, "session"));
        cards.push(Card::Crash(Some(step)));
    }
    cards.extend([Card::KillAt(Step::Sent, "journal"), Card::Crash(None)]);
    cards.extend([Some("desk"), Some("session"), None, None].map(Card::BetweenLegs));
    random.shuffle(&mut cards);
    cards
}
