//! Clients that know the protocol and break it: spoiled frames of every request in both dialects,
//! at every stage of a connection.
//!
//! A campaign is `PROPTEST_CASES=200000`, in release with overflow checks. The one of 2026-11-28
//! read 200,000 spoiled streams (and as many of each kind that `wire` makes up) and played 200,000
//! machines against spoiled requests and as many against anything at all (`hostile`) without a
//! fault. What it had found on the way is mended: the machine fell over the year 6026 (`stamp`).

use super::frames::{Spoiling, Valid, spoiling, valid};
use super::hostile::{bounded, field, framed, wait};
use super::*;
use proptest::prelude::*;

/// How far a connection is when it begins to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Connected,
    Magic,
    Opened,
    Started,
}

/// A length that is announced in place of the right one.
#[derive(Clone, Copy, Debug)]
enum Announced {
    Right,
    Off(i8),
    Any(u32),
}

#[derive(Clone, Debug)]
enum Act {
    Frame(Valid, Vec<Spoiling>, Announced),
    Wait(u16),
    /// Its socket is closed by its own side.
    Vanish,
}

fn act() -> impl Strategy<Value = Act> {
    let announced = prop_oneof![
        12 => Just(Announced::Right),
        1 => any::<i8>().prop_map(Announced::Off),
        1 => any::<u32>().prop_map(Announced::Any),
    ];
    let spoilings = prop::collection::vec(spoiling(field()), 0..3);
    prop_oneof![
        20 => (valid(), spoilings, announced)
            .prop_map(|(valid, spoilings, announced)| Act::Frame(valid, spoilings, announced)),
        3 => (0_u16..2_000).prop_map(Act::Wait),
        1 => Just(Act::Vanish),
    ]
}

fn stage() -> impl Strategy<Value = Stage> {
    let early = [Stage::Connected, Stage::Magic, Stage::Opened];
    prop_oneof![6 => Just(Stage::Started), 1 => prop::sample::select(early.to_vec())]
}

fn sent(body: &[u8], announced: Announced) -> Vec<u8> {
    let mut frame = framed(body);
    let right = u32::try_from(body.len()).unwrap();
    let told = match announced {
        Announced::Right => right,
        Announced::Off(by) => right.wrapping_add_signed(i32::from(by)),
        Announced::Any(told) => told,
    };
    frame[..4].copy_from_slice(&told.to_be_bytes());
    frame
}

/// A connection that has come as far as `stage`.
fn begin(bench: &mut Bench, is_text: bool, stage: Stage, client: i32) -> Connection {
    let connection = bench.next;
    bench.next += 1;
    bench.on(&Input::Connected(connection));
    let opening = if is_text { "v157..178" } else { "v213..226" };
    let start = Valid::start(is_text, client);
    for (reached, bytes) in [
        (Stage::Magic, b"API\0".to_vec()),
        (Stage::Opened, framed(opening.as_bytes())),
        (Stage::Started, framed(&start)),
    ] {
        if stage >= reached {
            bench.on(&Input::Bytes(connection, &bytes));
        }
    }
    connection
}

/// What is in the books is what their changes make: nothing that was sent has broken them.
fn books_agree(bench: &mut Bench) -> Result<(), TestCaseError> {
    bench.changes.extend(bench.world.take_changes());
    let restored = Exchange::restore(config(), bench.changes.clone());
    let restored = restored.map_err(|error| TestCaseError::fail(error.to_string()))?;
    let live = bench.world.exchange();
    let orders = |exchange: &Exchange| exchange.open_orders().cloned().collect::<Vec<_>>();
    prop_assert_eq!(orders(&restored), orders(live));
    prop_assert_eq!(restored.positions(), live.positions());
    prop_assert_eq!(restored.cash(), live.cash());
    Ok(())
}

proptest! {
    #[test]
    fn spoiled_frames_are_read_or_refused_and_keep_no_more_than_one_frame(
        is_text in any::<bool>(),
        frames in prop::collection::vec(
            (valid(), prop::collection::vec(spoiling(field()), 0..4)), 1..6),
        chunk in 1..64_usize,
    ) {
        let opening = if is_text { "v157..178" } else { "v213..226" };
        let (mut reader, mut out) = (wire::Reader::default(), Vec::new());
        let mut stream = [b"API\0", &framed(opening.as_bytes())[..]].concat();
        for (valid, spoilings) in &frames {
            let body = valid.body(is_text, 1, [ConId(10_001), ConId(10_002)], spoilings);
            stream.extend(framed(&body));
        }
        for bytes in stream.chunks(chunk) {
            // The lengths are right, so the connection goes on whatever the frames hold.
            prop_assert_eq!(reader.feed(bytes, &mut out), Ok(()));
            prop_assert!(reader.waiting() < wire::LONGEST_FRAME + 4);
        }
        prop_assert_eq!(out.len(), frames.len() + 1);
        for (incoming, (_, spoilings)) in out.iter().skip(1).zip(&frames) {
            let read = matches!(incoming, wire::Incoming::Request(_));
            prop_assert!(read || !spoilings.is_empty() || is_text, "{:?}", incoming);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default()
    })]

    #[test]
    fn spoiled_requests_end_at_most_their_own_connection_with_a_line_and_leave_the_books_right(
        acts in prop::collection::vec((any::<bool>(), act()), 1..40),
        stages in prop::collection::vec(stage(), 1..8),
    ) {
        let mut bench = Bench::new();
        bench.pass(1_000);
        let calls = bench.calls();
        let honest = bench.client(9);
        let mut stages = stages.iter().copied().cycle();
        let mut next = move || stages.next().unwrap();
        let mut hostile =
            [begin(&mut bench, false, next(), 2), begin(&mut bench, true, next(), 1)];
        for (is_text, act) in acts {
            let (side, client) = (usize::from(is_text), if is_text { 1 } else { 2 });
            let connection = hostile[side];
            // A new connection may have been refused at once: its line is still to be looked for.
            if bench.closed.is_empty() {
                bench.log.clear();
            }
            match act {
                Act::Wait(milliseconds) => wait(&mut bench, u64::from(milliseconds)),
                Act::Vanish => {
                    bench.on(&Input::Closed(connection));
                    hostile[side] = begin(&mut bench, is_text, next(), client);
                }
                Act::Frame(valid, spoilings, announced) => {
                    let body = valid.body(is_text, client, calls, &spoilings);
                    bench.on(&Input::Bytes(connection, &sent(&body, announced)));
                }
            }
            for (side, mine) in hostile.iter_mut().enumerate() {
                if let Some(place) = bench.closed.iter().position(|closed| closed == mine) {
                    bench.closed.remove(place);
                    prop_assert!(!bench.log.is_empty(), "a connection ends without a word");
                    let (is_text, client) = (side == 1, if side == 1 { 1 } else { 2 });
                    *mine = begin(&mut bench, is_text, next(), client);
                }
            }
            prop_assert!(bench.log.iter().all(|line| !line.contains('\n')));
            bounded(&bench)?;
            prop_assert!(!bench.closed.contains(&honest), "another's fault is not its own");
        }
        books_agree(&mut bench)?;
        bench.listen(honest);
        bench.send(honest, &Request::CurrentTime(Empty {}));
        let heard = bench.listen(honest);
        prop_assert!(heard.iter().any(|one| matches!(one, Response::CurrentTime(_))));
    }
}
