//! An order that the gate let through, and the session's last look at it before the write.
//!
//! Only the gate makes one: the fields are private, it can't be cloned and has no serde form. It is
//! worth something only in its halt epoch, its desk generation and for 250 ms.

use crate::evidence::GateEvidence;
use market::money::Price;
use market::time::ProcessTime;
use std::time::Duration;
use trading::approval::{Approval, Clearance};
use trading::order::{Order, OrderHash};
use trading::trading_state::HaltEpoch;

/// How long a clearance is good for.
pub const CLEARANCE_LIFE: Duration = Duration::from_millis(250);

/// Something that passed the gate.
#[derive(Debug)]
pub struct Cleared<T> {
    content: T,
    hash: OrderHash,
    approvals: Vec<Approval>,
    clearance: Clearance,
    evidence: GateEvidence,
    halt_epoch: HaltEpoch,
    desk_generation: u32,
    expires: ProcessTime,
}

/// What must still hold at the moment of the write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The halt epoch that the session knows.
    pub halt_epoch: HaltEpoch,
    /// The desk generation that the session serves.
    pub desk_generation: u32,
}

/// The session must not write the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusedClearance {
    /// A halt (or its release) came between.
    #[error("order was cleared in another halt epoch, clear it again")]
    HaltEpoch,
    /// The desk that cleared it is gone.
    #[error("order was cleared by another desk generation, clear it again")]
    Generation,
    /// It waited too long.
    #[error("clearance of the order has expired, clear it again")]
    Expired,
    /// It is not what the approvals were given for.
    #[error("order differs from the one that was approved, it must not be sent")]
    HashMismatch,
}

impl Cleared<Order> {
    /// For the gate alone.
    pub(crate) fn new(
        order: Order,
        hash: OrderHash,
        (clearance, approvals): (Clearance, Vec<Approval>),
        evidence: GateEvidence,
        desk_generation: u32,
        now: ProcessTime,
    ) -> Self {
        Self {
            content: order,
            hash,
            approvals,
            clearance,
            halt_epoch: evidence.halt_epoch,
            evidence,
            desk_generation,
            expires: now + CLEARANCE_LIFE,
        }
    }

    /// The order, to look at; to write it, [`Cleared::open`] it.
    #[must_use]
    pub const fn order(&self) -> &Order {
        &self.content
    }

    /// The canonical hash that the approvals carry.
    #[must_use]
    pub const fn hash(&self) -> OrderHash {
        self.hash
    }

    /// Three approvals, or the risk layer's alone.
    #[must_use]
    pub fn approvals(&self) -> &[Approval] {
        &self.approvals
    }

    /// Which of the two.
    #[must_use]
    pub const fn clearance(&self) -> Clearance {
        self.clearance
    }

    /// What the decision rested on.
    #[must_use]
    pub const fn evidence(&self) -> &GateEvidence {
        &self.evidence
    }

    /// The halt epoch under which it was cleared.
    #[must_use]
    pub const fn halt_epoch(&self) -> HaltEpoch {
        self.halt_epoch
    }

    /// The desk generation that cleared it.
    #[must_use]
    pub const fn desk_generation(&self) -> u32 {
        self.desk_generation
    }

    /// After this process time it must not be written.
    #[must_use]
    pub const fn expires(&self) -> ProcessTime {
        self.expires
    }

    /// The session's last check, immediately before the write: everything that the clearance rests
    /// on still holds, and the order is field by field the one that was hashed.
    pub fn open(self, fence: Fence, now: ProcessTime) -> Result<Order, RefusedClearance> {
        if self.halt_epoch != fence.halt_epoch && !mutation::active("skip_halt_check") {
            return Err(RefusedClearance::HaltEpoch);
        }
        if self.desk_generation != fence.desk_generation {
            return Err(RefusedClearance::Generation);
        }
        if now > self.expires {
            return Err(RefusedClearance::Expired);
        }
        let differs = |approval: &Approval| approval.order != self.hash;
        if self.content.canonical_hash() != self.hash || self.approvals.iter().any(differs) {
            return Err(RefusedClearance::HashMismatch);
        }
        let mut order = self.content;
        if mutation::active("swap_limit_after_hash") {
            order.limit += Price::from_micros(10_000);
        }
        Ok(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use trading::approval::Layer;

    fn cleared() -> Cleared<Order> {
        let order = sample::buy_call();
        let hash = order.canonical_hash();
        let approval = Approval { layer: Layer::Risk, order: hash, grounds: vec![] };
        let evidence = GateEvidence { halt_epoch: HaltEpoch(3), ..GateEvidence::default() };
        let start = ProcessTime::from_nanos(1_000);
        Cleared::new(order, hash, (Clearance::RiskReducing, vec![approval]), evidence, 7, start)
    }

    #[test]
    fn the_fence_opens_only_for_the_same_epoch_generation_time_and_order() {
        let start = ProcessTime::from_nanos(1_000);
        let last = start + CLEARANCE_LIFE;
        let late = last + Duration::from_nanos(1);
        let rows = [
            (3, 7, start, Ok(())),
            (3, 7, last, Ok(())),
            (4, 7, start, Err(RefusedClearance::HaltEpoch)),
            (2, 7, start, Err(RefusedClearance::HaltEpoch)),
            (3, 8, start, Err(RefusedClearance::Generation)),
            (3, 6, start, Err(RefusedClearance::Generation)),
            (3, 7, late, Err(RefusedClearance::Expired)),
        ];
        for (epoch, desk_generation, now, expected) in rows {
            let fence = Fence { halt_epoch: HaltEpoch(epoch), desk_generation };
            let outcome = cleared().open(fence, now);
            assert_eq!(outcome.as_ref().map(|_| ()).map_err(|why| *why), expected);
            if let Ok(order) = outcome {
                assert_eq!(order, sample::buy_call());
            }
        }
    }

    #[test]
    fn an_order_that_differs_from_its_hash_is_never_handed_out() {
        let fence = Fence { halt_epoch: HaltEpoch(3), desk_generation: 7 };
        let mut changed = cleared();
        changed.content.limit += Price::from_micros(1);
        let now = ProcessTime::from_nanos(1_000);
        assert_eq!(changed.open(fence, now), Err(RefusedClearance::HashMismatch));
        let mut foreign = cleared();
        let mut other = sample::buy_call();
        other.quantity.0 += 1;
        foreign.approvals[0].order = other.canonical_hash();
        assert_eq!(foreign.open(fence, now), Err(RefusedClearance::HashMismatch));
    }
}
