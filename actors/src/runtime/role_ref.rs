//! The stable address of a role: survives its restarts, bounds its queue, says when it is down.
//!
//! ractor's mailboxes are unbounded, have no depth and die with their actor. A [`RoleRef`] counts
//! queued minus handled per incarnation, refuses with the message in hand, and can park a bounded
//! number of messages while the role is down. What to do with a refusal is left to the sender.

use super::role::{RoleMessage, RolePath};
use super::shell::Envelope;
use arc_swap::ArcSwapOption;
use ractor::{ActorRef, MessagingErr};
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// A message that wasn't taken, handed back.
#[derive(PartialEq, Eq, thiserror::Error)]
pub enum SendError<M> {
    /// No incarnation of the role is running (and the park, if any, doesn't take it).
    #[error("the role is down, the message was not taken")]
    Down(M),
    /// The role's queue (or its park) has reached its bound.
    #[error("the role's queue is full, the message was not taken")]
    Full(M),
}

impl<M> SendError<M> {
    /// The message.
    #[must_use]
    pub fn into_message(self) -> M {
        match self {
            Self::Down(message) | Self::Full(message) => message,
        }
    }
}

impl<M> fmt::Debug for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Down(_) => "Down",
            Self::Full(_) => "Full",
        })
    }
}

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
    bound: usize,
    parking: usize,
    current: ArcSwapOption<Incumbent<M>>,
    parked: Mutex<VecDeque<M>>,
    dropped: AtomicU64,
}

pub(super) struct Incumbent<M: RoleMessage> {
    generation: u64,
    actor: ActorRef<Envelope<M>>,
    depth: AtomicUsize,
    bound: usize,
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
            // What was parked must fit into the mailbox of the next incarnation.
            bound: bound.max(parking),
            parking,
            current: ArcSwapOption::empty(),
            parked: Mutex::default(),
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
        let refused = match &*self.0.current.load() {
            Some(incumbent) => incumbent.deliver(message),
            None => Err(SendError::Down(message)),
        };
        match refused {
            Err(SendError::Down(message)) if self.0.parking > 0 => self.park(message),
            other => other,
        }
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
        match &*self.0.current.load() {
            Some(incumbent) => incumbent.depth.load(Ordering::Relaxed),
            None => self.lock_parked().len(),
        }
    }

    /// Whether an incarnation takes messages.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.0.current.load().is_some()
    }

    /// The generation that takes messages.
    #[must_use]
    pub fn generation(&self) -> Option<u64> {
        self.0.current.load().as_ref().map(|incumbent| incumbent.generation)
    }

    /// Messages lost by [`RoleRef::send_or_drop`] since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    fn park(&self, message: M) -> Result<(), SendError<M>> {
        let mut parked = self.lock_parked();
        // Under the lock that `install` holds: either the new incarnation is in place, or it
        // will find the message in the park.
        if let Some(incumbent) = &*self.0.current.load() {
            match incumbent.deliver(message) {
                // It has died and its successor isn't there: park after all.
                Err(SendError::Down(message)) => return park(&mut parked, self.0.parking, message),
                other => return other,
            }
        }
        park(&mut parked, self.0.parking, message)
    }

    pub(super) fn incumbent(
        &self,
        generation: u64,
        actor: ActorRef<Envelope<M>>,
    ) -> Arc<Incumbent<M>> {
        let bound = self.0.bound;
        Arc::new(Incumbent { generation, actor, depth: AtomicUsize::new(0), bound })
    }

    pub(super) fn pinned(&self, incumbent: &Arc<Incumbent<M>>) -> PinnedRef<M> {
        PinnedRef { incumbent: Arc::clone(incumbent) }
    }

    /// From here on messages go to `incumbent`, the parked ones first. An older generation than
    /// the present one (a fenced zombie) changes nothing.
    pub(super) fn install(&self, incumbent: &Arc<Incumbent<M>>) {
        let mut parked = self.lock_parked();
        let newer = |current: &Arc<Incumbent<M>>| current.generation > incumbent.generation;
        if self.0.current.load().as_ref().is_some_and(newer) {
            return;
        }
        while let Some(message) = parked.pop_front() {
            if let Err(refused) = incumbent.deliver(message) {
                parked.push_front(refused.into_message());
                break;
            }
        }
        self.0.current.store(Some(Arc::clone(incumbent)));
    }

    /// `generation` takes no messages any more.
    pub(super) fn clear(&self, generation: u64) {
        let _parked = self.lock_parked();
        let own = |current: &Arc<Incumbent<M>>| current.generation == generation;
        if self.0.current.load().as_ref().is_some_and(own) {
            self.0.current.store(None);
        }
    }

    fn lock_parked(&self) -> MutexGuard<'_, VecDeque<M>> {
        self.0.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn park<M>(parked: &mut VecDeque<M>, limit: usize, message: M) -> Result<(), SendError<M>> {
    if parked.len() >= limit {
        return Err(SendError::Full(message));
    }
    parked.push_back(message);
    Ok(())
}

impl<M: RoleMessage> Incumbent<M> {
    fn deliver(&self, message: M) -> Result<(), SendError<M>> {
        if self.depth.fetch_add(1, Ordering::AcqRel) >= self.bound {
            self.depth.fetch_sub(1, Ordering::AcqRel);
            return Err(SendError::Full(message));
        }
        match self.actor.send_message(Envelope::Deliver(message)) {
            Ok(()) => Ok(()),
            Err(MessagingErr::SendErr(Envelope::Deliver(message))) => {
                self.depth.fetch_sub(1, Ordering::AcqRel);
                Err(SendError::Down(message))
            }
            Err(
                MessagingErr::SendErr(Envelope::Alarm)
                | MessagingErr::ChannelClosed
                | MessagingErr::InvalidActorType,
            ) => unreachable!("a typed send fails only by handing its message back"),
        }
    }

    /// A message has been handled. Returns what is left.
    pub fn handled(&self) -> usize {
        self.depth.fetch_sub(1, Ordering::AcqRel).saturating_sub(1)
    }

    /// A message is about to be handled that was never queued.
    pub fn uncounted(&self) {
        self.depth.fetch_add(1, Ordering::AcqRel);
    }

    pub fn depth(&self) -> usize {
        self.depth.load(Ordering::Relaxed)
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
