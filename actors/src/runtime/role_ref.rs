//! The stable address of a role: survives its restarts, bounds its queue, says when it is down.
//!
//! ractor's mailboxes are unbounded, have no depth and die with their actor. A [`RoleRef`] counts
//! queued minus handled per incarnation, refuses with the message in hand, and can park a bounded
//! number of messages while the role is down; how one incarnation follows another is in
//! [`super::hand_over`]. What to do with a refusal is left to the sender.

use super::hand_over::{self, HandOver, Mailbox};
use super::role::{RoleMessage, RolePath};
use super::shell::Envelope;
use ractor::{ActorRef, MessagingErr};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

pub use super::hand_over::SendError;

/// A question without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// No incarnation of the role is running.
    #[error("the role is down, the question was not taken")]
    Down,
    /// The role's queue has reached its bound.
    #[error("the role's queue is full, the question was not taken")]
    Full,
    /// It was taken, but the role ended or chose not to answer; its effect is unknown.
    #[error("the role gave no answer")]
    NoAnswer,
    /// It was taken, but no answer came in time; its effect is unknown.
    #[error("the role did not answer in time")]
    TimedOut,
}

/// The stable address of a role. Cheap to clone, usable from every thread.
pub struct RoleRef<M: RoleMessage>(Arc<Address<M>>);

struct Address<M: RoleMessage> {
    path: RolePath,
    hand_over: HandOver<M, ActorRef<Envelope<M>>>,
    dropped: AtomicU64,
}

pub(super) type Incumbent<M> = hand_over::Incumbent<ActorRef<Envelope<M>>>;

impl<M: RoleMessage> Mailbox<M> for ActorRef<Envelope<M>> {
    fn post(&self, message: M) -> Result<(), M> {
        match self.send_message(Envelope::Deliver(message)) {
            Ok(()) => Ok(()),
            Err(MessagingErr::SendErr(Envelope::Deliver(message))) => Err(message),
            Err(
                MessagingErr::SendErr(Envelope::Alarm)
                | MessagingErr::ChannelClosed
                | MessagingErr::InvalidActorType,
            ) => unreachable!("a typed send fails only by handing its message back"),
        }
    }
}

impl<M: RoleMessage> Clone for RoleRef<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M: RoleMessage> fmt::Debug for RoleRef<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoleRef({})", self.0.path)
    }
}

impl<M: RoleMessage> RoleRef<M> {
    /// An address whose role isn't running yet. At most `bound` messages are queued or in hand.
    #[must_use]
    pub fn new(path: impl Into<RolePath>, bound: usize) -> Self {
        Self::with_parking(path, bound, 0)
    }

    /// As [`RoleRef::new`]; while the role is down up to `parking` messages are kept and handled
    /// in order before newer ones by the next incarnation, once its recovery is done.
    #[must_use]
    pub fn with_parking(path: impl Into<RolePath>, bound: usize, parking: usize) -> Self {
        Self(Arc::new(Address {
            path: path.into(),
            hand_over: HandOver::new(bound, parking),
            dropped: AtomicU64::new(0),
        }))
    }

    /// The role's path.
    #[must_use]
    pub fn path(&self) -> &RolePath {
        &self.0.path
    }

    /// Queues `message`, without waiting.
    ///
    /// # Errors
    /// Hands the message back: [`SendError::Down`] or [`SendError::Full`]. `Ok` means queued, not
    /// handled: a crash loses what is queued.
    pub fn send(&self, message: M) -> Result<(), SendError<M>> {
        self.0.hand_over.send(message)
    }

    /// Queues `message`, or drops and counts it: for what is soon replaced by something newer.
    /// True when it was queued.
    pub fn send_or_drop(&self, message: M) -> bool {
        let sent = self.send(message).is_ok();
        if !sent {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
        sent
    }

    /// Asks a question: `make` puts the reply port into a message.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ask<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<T>) -> M,
        within: Duration,
    ) -> Result<T, AskError> {
        let (reply, answer) = oneshot::channel();
        self.send(make(reply)).map_err(|refused| match refused {
            SendError::Down(_) => AskError::Down,
            SendError::Full(_) => AskError::Full,
        })?;
        match tokio::time::timeout(within, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(AskError::NoAnswer),
            Err(_) => Err(AskError::TimedOut),
        }
    }

    /// Messages queued or in hand; those parked while the role is down.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.0.hand_over.depth()
    }

    /// Whether an incarnation takes messages.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.generation().is_some()
    }

    /// The generation that takes messages.
    #[must_use]
    pub fn generation(&self) -> Option<u64> {
        self.0.hand_over.generation()
    }

    /// Messages lost by [`RoleRef::send_or_drop`] since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn incumbent(
        &self,
        generation: u64,
        actor: ActorRef<Envelope<M>>,
    ) -> Arc<Incumbent<M>> {
        self.0.hand_over.incumbent(generation, actor)
    }

    pub(super) fn pinned(&self, incumbent: &Arc<Incumbent<M>>) -> PinnedRef<M> {
        PinnedRef { incumbent: Arc::clone(incumbent) }
    }

    pub(super) fn install(&self, incumbent: &Arc<Incumbent<M>>) {
        self.0.hand_over.install(incumbent);
    }

    pub(super) fn clear(&self, generation: u64) {
        self.0.hand_over.clear(generation);
    }
}

/// The address of one incarnation: refuses once that has ended, whoever came after it.
pub struct PinnedRef<M: RoleMessage> {
    incumbent: Arc<Incumbent<M>>,
}

impl<M: RoleMessage> Clone for PinnedRef<M> {
    fn clone(&self) -> Self {
        Self { incumbent: Arc::clone(&self.incumbent) }
    }
}

impl<M: RoleMessage> PinnedRef<M> {
    /// Queues `message`, without waiting.
    ///
    /// # Errors
    /// Hands the message back, see [`SendError`].
    pub fn send(&self, message: M) -> Result<(), SendError<M>> {
        self.incumbent.deliver(message)
    }
}
