//! The succession under loom: the real one, with every interleaving of those who send and those
//! who end and install incarnations.
//!
//! Two things stand in for libraries: [`Letters`] for ractor's mailbox, of which all that is
//! assumed is that a send queues or hands back, and `Latest` for arc_swap (see `sync.rs`).

use super::*;
use loom::thread::{self, JoinHandle};

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// What an incarnation has in its mailbox; nothing can be put in once it has ended.
struct Letters(Mutex<(Vec<u32>, bool)>);

impl Letters {
    fn open() -> Arc<Self> {
        Arc::new(Self(Mutex::new((Vec::new(), true))))
    }

    fn end(&self) {
        self.0.lock().expect("no thread panics").1 = false;
    }

    fn found(&self) -> Vec<u32> {
        self.0.lock().expect("no thread panics").0.clone()
    }

    fn take_one(&self) -> Option<u32> {
        self.0.lock().expect("no thread panics").0.pop()
    }
}

impl Mailbox<u32> for Arc<Letters> {
    fn post(&self, message: u32) -> Result<(), u32> {
        let mut letters = self.0.lock().expect("no thread panics");
        if letters.1 {
            letters.0.push(message);
            return Ok(());
        }
        Err(message)
    }
}

type Address = Arc<HandOver<u32, Arc<Letters>>>;

fn address(bound: usize, parking: usize) -> Address {
    Arc::new(HandOver::new(bound, parking))
}

fn install(address: &Address, generation: u64) -> Arc<Letters> {
    let letters = Letters::open();
    address.install(&address.incumbent(generation, Arc::clone(&letters)));
    letters
}

type Answer = Result<(), SendError<u32>>;

fn sender<const N: usize>(address: &Address, messages: [u32; N]) -> JoinHandle<[Answer; N]> {
    let address = Arc::clone(address);
    thread::spawn(move || messages.map(|message| address.send(message)))
}

/// Red when: a sender parks without looking again under the lock; `install` is seen before it has
/// emptied the park (the order is then turned round).
#[test]
fn a_message_of_a_swap_reaches_one_incarnation_in_order() {
    explore(|| {
        let address = address(4, 2);
        let first = install(&address, 1);
        let sent = sender(&address, [1, 2]);
        first.end();
        address.clear(1);
        let second = install(&address, 2);
        let answers = sent.join().expect("a send does not panic");
        assert_eq!(answers, [Ok(()), Ok(())], "there is room for both wherever they are");
        let all: Vec<u32> = first.found().into_iter().chain(second.found()).collect();
        assert_eq!(all, [1, 2]);
        assert!(address.lock().messages.is_empty(), "left behind while an incarnation is up");
        assert_eq!(address.generation(), Some(2));
    });
}

/// A refusal may come while there is room: a send that is being turned down still counts. That is
/// allowed, losing or doubling a message isn't.
///
/// Red when: the park takes without comparing with its bound.
#[test]
fn a_message_without_room_is_handed_back_and_the_others_arrive_once() {
    explore(|| {
        let address = address(1, 1);
        let first = install(&address, 1);
        let senders = [sender(&address, [1]), sender(&address, [2])];
        first.end();
        address.clear(1);
        let waiting = address.lock().messages.len();
        assert!(waiting <= 1, "{waiting} wait");
        let second = install(&address, 2);
        let mut taken = Vec::new();
        for (message, sent) in [1, 2].into_iter().zip(senders) {
            match sent.join().expect("a send does not panic") {
                [Ok(())] => taken.push(message),
                [Err(refused)] => assert_eq!(refused, SendError::Full(message)),
            }
        }
        let mut found = first.found();
        found.extend(second.found());
        found.sort_unstable();
        assert_eq!(found, taken);
    });
}

/// Red when: `send` goes to a park that takes nothing, whose refusal says `Full`.
#[test]
fn without_a_park_a_message_is_delivered_once_or_refused_as_down() {
    explore(|| {
        let address = address(4, 0);
        let first = install(&address, 1);
        let sent = sender(&address, [1, 2]);
        first.end();
        address.clear(1);
        let second = install(&address, 2);
        let mut found = first.found();
        let answers = sent.join().expect("a send does not panic");
        found.extend(second.found());
        let mut taken = Vec::new();
        for (message, answer) in [1, 2].into_iter().zip(answers) {
            match answer {
                Ok(()) => taken.push(message),
                Err(refused) => assert_eq!(refused, SendError::Down(message)),
            }
        }
        assert_eq!(found, taken);
    });
}

/// Red when: `install` compares with the incarnation that is there now instead of the newest that
/// ever was: the zombie then steps in between two others and takes what was parked to its grave;
/// `clear` doesn't ask whose end it is.
#[test]
fn a_zombie_that_installs_itself_late_gets_nothing() {
    explore(|| {
        let address = address(4, 4);
        let second = install(&address, 2);
        let zombie = {
            let address = Arc::clone(&address);
            thread::spawn(move || {
                let letters = install(&address, 1);
                address.clear(1);
                letters.found()
            })
        };
        second.end();
        address.clear(2);
        assert_eq!(address.send(7), Ok(()));
        let third = install(&address, 3);
        assert_eq!(zombie.join().expect("an install does not panic"), Vec::<u32>::new());
        assert_eq!(third.found(), [7]);
        assert_eq!(address.generation(), Some(3));
    });
}

/// Red when: `deliver` looks at the depth and raises it in two steps.
#[test]
fn no_more_than_the_bound_is_queued_or_in_hand() {
    explore(|| {
        let address = address(1, 0);
        let letters = Letters::open();
        let incumbent = address.incumbent(1, Arc::clone(&letters));
        address.install(&incumbent);
        let senders = [sender(&address, [1]), sender(&address, [2])];
        let mut handled = 0;
        for _ in 0..2 {
            let found = letters.found().len();
            assert!(found <= 1, "{found} are queued");
            if letters.take_one().is_some() {
                assert!(incumbent.handled() <= 1, "the depth passed below zero");
                handled += 1;
            }
        }
        let answers = senders.map(|sent| sent.join().expect("a send does not panic"));
        let taken = answers.iter().filter(|[answer]| answer.is_ok()).count();
        assert_eq!(letters.found().len() + handled, taken);
        assert_eq!(incumbent.depth(), taken - handled);
        assert!(taken > 0, "an empty mailbox was called full by everyone");
    });
}
