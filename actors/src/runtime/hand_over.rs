//! Who takes a role's messages: how one incarnation follows another while everybody sends.
//!
//! Senders come from any thread and take no lock while the role is up. The one who ends an
//! incarnation or installs the next holds the park's lock, and so does a sender that found nobody:
//! it then looks again, so a message is never parked behind the back of an incarnation that has
//! emptied the park. This is what must be right in every interleaving, so it stands apart from
//! ractor: what a mailbox is, is left to [`Mailbox`]; addresses for everyone are in
//! [`super::role_ref`].

use super::sync::{AtomicUsize, Latest, Mutex, MutexGuard, Ordering};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, PoisonError};

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

/// Where an incarnation reads its messages. Unbounded: the bound is the incumbent's.
pub(super) trait Mailbox<M> {
    /// Queues the message without waiting, or hands it back once the reader has ended.
    fn post(&self, message: M) -> Result<(), M>;
}

/// One incarnation as those see it who send to it.
pub(super) struct Incumbent<B> {
    generation: u64,
    mailbox: B,
    depth: AtomicUsize,
    bound: usize,
}

impl<B> Incumbent<B> {
    pub fn deliver<M>(&self, message: M) -> Result<(), SendError<M>>
    where
        B: Mailbox<M>,
    {
        if self.depth.fetch_add(1, Ordering::AcqRel) >= self.bound {
            self.depth.fetch_sub(1, Ordering::AcqRel);
            return Err(SendError::Full(message));
        }
        self.mailbox.post(message).map_err(|message| {
            self.depth.fetch_sub(1, Ordering::AcqRel);
            SendError::Down(message)
        })
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

/// The succession of incarnations, and the messages that wait for the next one.
pub(super) struct HandOver<M, B> {
    bound: usize,
    parking: usize,
    current: Latest<Incumbent<B>>,
    park: Mutex<Park<M>>,
}

struct Park<M> {
    messages: VecDeque<M>,
    /// The newest generation that ever took messages; it may have ended.
    newest: u64,
}

impl<M> Park<M> {
    fn take(&mut self, message: M, limit: usize) -> Result<(), SendError<M>> {
        if self.messages.len() >= limit {
            return Err(SendError::Full(message));
        }
        self.messages.push_back(message);
        Ok(())
    }
}

impl<M, B: Mailbox<M>> HandOver<M, B> {
    /// Nobody is there yet. At most `bound` messages are queued or in hand at one incarnation, at
    /// most `parking` wait while there is none.
    pub fn new(bound: usize, parking: usize) -> Self {
        let park = Park { messages: VecDeque::new(), newest: 0 };
        // What was parked must fit into the mailbox of the next incarnation.
        let bound = bound.max(parking);
        Self { bound, parking, current: Latest::empty(), park: Mutex::new(park) }
    }

    /// An incarnation that takes no messages yet.
    pub fn incumbent(&self, generation: u64, mailbox: B) -> Arc<Incumbent<B>> {
        let (depth, bound) = (AtomicUsize::new(0), self.bound);
        Arc::new(Incumbent { generation, mailbox, depth, bound })
    }

    /// Queues or parks `message`, without waiting.
    pub fn send(&self, message: M) -> Result<(), SendError<M>> {
        let sent = match &*self.current.load() {
            Some(incumbent) => incumbent.deliver(message),
            None => Err(SendError::Down(message)),
        };
        match sent {
            Err(SendError::Down(message)) if self.parking > 0 => self.park(message),
            other => other,
        }
    }

    fn park(&self, message: M) -> Result<(), SendError<M>> {
        let mut park = self.lock();
        // Under the lock that `install` holds: either the new incarnation is in place, or it
        // will find the message in the park.
        if let Some(incumbent) = &*self.current.load() {
            match incumbent.deliver(message) {
                // It has died and its successor isn't there: park after all.
                Err(SendError::Down(message)) => return park.take(message, self.parking),
                other => return other,
            }
        }
        park.take(message, self.parking)
    }

    /// From here on messages go to `incumbent`, the parked ones first. An older generation than
    /// one that was here before (a fenced zombie) changes nothing.
    pub fn install(&self, incumbent: &Arc<Incumbent<B>>) {
        let mut park = self.lock();
        if park.newest > incumbent.generation {
            return;
        }
        park.newest = incumbent.generation;
        while let Some(message) = park.messages.pop_front() {
            if let Err(refused) = incumbent.deliver(message) {
                park.messages.push_front(refused.into_message());
                break;
            }
        }
        self.current.store(Some(Arc::clone(incumbent)));
    }

    /// `generation` takes no messages any more.
    pub fn clear(&self, generation: u64) {
        let _park = self.lock();
        let own = |current: &Arc<Incumbent<B>>| current.generation == generation;
        if (*self.current.load()).as_ref().is_some_and(own) {
            self.current.store(None);
        }
    }

    /// Messages queued or in hand; those parked while nobody is there.
    pub fn depth(&self) -> usize {
        match &*self.current.load() {
            Some(incumbent) => incumbent.depth(),
            None => self.lock().messages.len(),
        }
    }

    /// The generation that takes messages.
    pub fn generation(&self) -> Option<u64> {
        (*self.current.load()).as_ref().map(|incumbent| incumbent.generation)
    }

    fn lock(&self) -> MutexGuard<'_, Park<M>> {
        self.park.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, loom))]
mod under_loom;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    impl Mailbox<u32> for Sender<u32> {
        fn post(&self, message: u32) -> Result<(), u32> {
            self.send(message).map_err(|refused| refused.0)
        }
    }

    #[test]
    fn a_zombie_gets_nothing_though_its_successor_has_ended() {
        let address = HandOver::new(4, 4);
        let (mailbox, _read) = channel();
        address.install(&address.incumbent(2, mailbox));
        address.clear(2);
        assert_eq!(address.send(7), Ok(()));
        let (mailbox, zombie) = channel();
        address.install(&address.incumbent(1, mailbox));
        assert_eq!((address.generation(), address.depth()), (None, 1));
        let (mailbox, third) = channel();
        address.install(&address.incumbent(3, mailbox));
        assert_eq!((zombie.try_recv().ok(), third.try_recv()), (None, Ok(7)));
    }
}
