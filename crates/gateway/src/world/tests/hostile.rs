//! Clients that send anything: the whole machine answers, refuses or closes, and keeps little.

use super::*;
use proptest::prelude::*;

/// Numbers at their edges, words, nothing.
const WORDS: &[&str] = &[
    "",
    "0",
    "1",
    "-1",
    "2147483647",
    "-2147483648",
    "9223372036854775808",
    "1e308",
    "nan",
    "inf",
    "1001",
    "1002",
    "10001",
    "BAG",
    "STK",
    "OPT",
    "SIM",
    "SIMX",
    "BUY",
    "SELL",
    "LMT",
    "MKT",
    "STP",
    "DAY",
    "GTC",
    "IOC",
    "SMART",
    "SIMEX",
    "USD",
    "DU1",
    "All",
    "TotalCashValue",
    "1 D",
    "1 min",
    "TRADES",
    "20261120 10:30:00",
    "20261120",
    "C",
    "true",
    "100",
    "0.01",
];

/// What a hostile client sends in a field of text.
pub fn field() -> impl Strategy<Value = String> {
    prop_oneof![4 => prop::sample::select(WORDS).prop_map(str::to_owned), 1 => "\\PC{0,8}"]
}

/// A protobuf field: any tag, a plausible wire type, a value at its edge or a short text.
fn protobuf_field() -> impl Strategy<Value = Vec<u8>> {
    let key = (1_u32..60, prop::sample::select(vec![0_u32, 1, 2, 2, 0, 5]));
    (key, any::<u64>(), field()).prop_map(|((tag, wire), number, text)| {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(u64::from(tag << 3 | wire), &mut bytes);
        match wire {
            0 => prost::encoding::encode_varint(number % 3_000, &mut bytes),
            1 => bytes.extend(((number % 20_000) as f64 / 100.0).to_le_bytes()),
            5 => bytes.extend((number as u32).to_le_bytes()),
            _ => {
                prost::encoding::encode_varint(text.len() as u64, &mut bytes);
                bytes.extend(text.as_bytes());
            }
        }
        bytes
    })
}

/// One thing that a client does.
#[derive(Clone, Debug)]
enum Act {
    Text(i32, Vec<String>),
    Protobuf(i32, Vec<Vec<u8>>),
    /// Bytes in a frame of the right length.
    Frame(Vec<u8>),
    /// Bytes without a frame.
    Bytes(Vec<u8>),
    /// A length that no message has.
    Length(u32),
    /// The beginning of a frame whose rest never comes.
    Cut(u16),
    Wait(u16),
    Vanish,
}

fn act() -> impl Strategy<Value = Act> {
    let bytes = prop::collection::vec(any::<u8>(), 0..200);
    prop_oneof![
        8 => (1_i32..110, prop::collection::vec(field(), 0..60))
            .prop_map(|(id, fields)| Act::Text(id, fields)),
        8 => (1_i32..110, prop::collection::vec(protobuf_field(), 0..14))
            .prop_map(|(id, fields)| Act::Protobuf(id, fields)),
        1 => bytes.clone().prop_map(Act::Frame),
        1 => bytes.prop_map(Act::Bytes),
        1 => any::<u32>().prop_map(Act::Length),
        1 => any::<u16>().prop_map(Act::Cut),
        2 => (0_u16..2_000).prop_map(Act::Wait),
        1 => Just(Act::Vanish),
    ]
}

pub fn framed(body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
}

/// Opens a connection and, nearly always, the API.
fn begin(bench: &mut Bench, is_text: bool, client: i32) -> Connection {
    let connection = bench.next;
    bench.next += 1;
    bench.on(&Input::Connected(connection));
    let (opening, start) = if is_text {
        ("v157..178", format!("71\x002\0{client}\0\0").into_bytes())
    } else {
        let start = StartApiRequest { client_id: client, capabilities: String::new() };
        let request = Request::StartApi(start);
        ("v213..226", [&(request.id() + 200).to_be_bytes()[..], &request.encode()].concat())
    };
    bench.on(&Input::Bytes(connection, b"API\0"));
    bench.on(&Input::Bytes(connection, &framed(opening.as_bytes())));
    bench.on(&Input::Bytes(connection, &framed(&start)));
    connection
}

/// Process time passes; of the market's, whose steps are the most work here, one step at most.
pub fn wait(bench: &mut Bench, milliseconds: u64) {
    let process = bench.now.process + Duration::from_millis(milliseconds);
    bench.pass(milliseconds.min(250));
    bench.now.process = process;
    bench.on(&Input::Time);
}

/// What clients make the machine keep has its bounds.
pub fn bounded(bench: &Bench) -> Result<(), TestCaseError> {
    for session in bench.world.sessions.values() {
        prop_assert!(session.reader.waiting() <= wire::LONGEST_FRAME + 4);
        prop_assert!(session.lines.len() <= bench.world.settings.lines_max);
        prop_assert!(session.subscriptions() <= SUBSCRIPTIONS_MAX);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_a_client_sends_is_answered_refused_or_ends_its_connection_alone(
        acts in prop::collection::vec((any::<bool>(), act()), 1..60),
    ) {
        let mut bench = Bench::new();
        let honest = bench.client(9);
        let mut hostile = [begin(&mut bench, true, 1), begin(&mut bench, false, 2)];
        for (is_text, act) in acts {
            let connection = hostile[usize::from(!is_text)];
            let bytes = match act {
                Act::Text(id, fields) => {
                    framed(format!("{id}\0{}\0", fields.join("\0")).as_bytes())
                }
                Act::Protobuf(id, fields) => {
                    framed(&[&(id + 200).to_be_bytes()[..], &fields.concat()].concat())
                }
                Act::Frame(body) => framed(&body),
                Act::Bytes(bytes) => bytes,
                Act::Length(length) => length.to_be_bytes().to_vec(),
                Act::Cut(length) => [&u32::from(length).to_be_bytes()[..], b"3\0"].concat(),
                Act::Wait(milliseconds) => {
                    wait(&mut bench, u64::from(milliseconds));
                    continue;
                }
                Act::Vanish => {
                    bench.on(&Input::Closed(connection));
                    let again = begin(&mut bench, is_text, if is_text { 1 } else { 2 });
                    hostile[usize::from(!is_text)] = again;
                    continue;
                }
            };
            bench.on(&Input::Bytes(connection, &bytes));
            // The host no longer reads from what was closed.
            if bench.closed.contains(&connection) {
                bench.on(&Input::Closed(connection));
                let client = if is_text { 1 } else { 2 };
                hostile[usize::from(!is_text)] = begin(&mut bench, is_text, client);
            }
            bounded(&bench)?;
            prop_assert!(!bench.closed.contains(&honest), "another's fault is not its own");
        }
        // The books still agree with themselves, and the honest client is served.
        bench.world.take_changes();
        bench.listen(honest);
        bench.send(honest, &Request::CurrentTime(Empty {}));
        let heard = bench.listen(honest);
        prop_assert!(heard.iter().any(|one| matches!(one, Response::CurrentTime(_))));
    }
}

#[test]
fn a_client_that_subscribes_without_end_is_closed() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    for number in 0.. {
        bench.pass(50);
        bench.send(
            client,
            &Request::Pnl(crate::message::account::PnlRequest {
                req_id: number,
                account: "DU1".to_owned(),
                ..Default::default()
            }),
        );
        if bench.closed.contains(&client) {
            assert!(number as usize + 1 >= SUBSCRIPTIONS_MAX, "after {number}");
            return;
        }
        assert!(number as usize <= SUBSCRIPTIONS_MAX, "it keeps {number}");
    }
}

#[test]
fn a_connection_that_never_starts_the_api_is_closed_in_time() {
    let mut bench = Bench::new();
    let silent = bench.next;
    bench.next += 1;
    bench.on(&Input::Connected(silent));
    bench.on(&Input::Bytes(silent, b"API\0\0\0"));
    let honest = bench.client(9);
    assert!(bench.world.next_process().is_some(), "the host has to wake for it");
    bench.pass(20_000);
    assert_eq!(bench.closed, [silent]);
    assert_eq!(bench.world.next_process(), None);
    bench.send(honest, &Request::CurrentTime(Empty {}));
    assert!(!bench.listen(honest).is_empty());
}

#[test]
fn requests_before_the_start_of_the_api_have_a_pace_too() {
    let mut bench = Bench::new();
    let eager = bench.next;
    bench.next += 1;
    bench.on(&Input::Connected(eager));
    bench.on(&Input::Bytes(eager, b"API\0\0\0\0\tv213..226"));
    for _ in 0..200 {
        bench.send(eager, &Request::CurrentTime(Empty {}));
    }
    assert_eq!(bench.closed, [eager], "each of them was a line in the log");
    assert!(bench.log.len() <= 60, "{} lines", bench.log.len());
}

#[test]
fn a_start_that_is_sent_over_and_over_has_a_pace_too() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    for _ in 0..200 {
        let start = StartApiRequest { client_id: 1, capabilities: String::new() };
        bench.send(client, &Request::StartApi(start));
    }
    assert_eq!(bench.closed, [client]);
}

#[test]
fn a_megabyte_in_a_field_is_neither_logged_nor_told_back_nor_kept() {
    let mut bench = Bench::new();
    bench.pass(1_000);
    let client = bench.client(1);
    let long = "x\n".repeat(400_000);
    let mut order = limit(1, SIM, "BUY", 1, 50.0);
    if let Request::PlaceOrder(request) = &mut order {
        request.order.order_ref.clone_from(&long);
    }
    assert_eq!(codes(&bench.ask(client, &order)), [321]);
    assert_eq!(bench.world.exchange().open_orders().count(), 0);
    let mut order = limit(2, SIM, "BUY", 1, 50.0);
    if let Request::PlaceOrder(request) = &mut order {
        request.order.account = "y".repeat(10_000);
    }
    let heard = bench.ask(client, &order);
    assert_eq!(codes(&heard), [321]);
    assert!(heard.iter().all(|one| one.encode().len() < 2_000), "{heard:?}");
    let summary = crate::message::account::AccountSummaryRequest {
        req_id: 5,
        group: "All".to_owned(),
        tags: long.clone() + &",a".repeat(100_000),
    };
    bench.send(client, &Request::AccountSummary(summary));
    let kept: usize = bench.world.sessions[&client].summaries[&5].iter().map(String::len).sum();
    assert!(kept < 5_000, "{kept} bytes of tags");
    let text = bench.next;
    bench.next += 1;
    bench.on(&Input::Connected(text));
    bench.on(&Input::Bytes(text, b"API\0\0\0\0\tv157..178"));
    bench.on(&Input::Bytes(text, &framed(b"71\x002\x007\0\0")));
    bench.log.clear();
    bench.on(&Input::Bytes(text, &framed(format!("8\x001\0{long}\0").as_bytes())));
    assert_eq!(bench.log.len(), 1);
    assert!(bench.log[0].len() < 2_000 && !bench.log[0].contains('\n'), "{:?}", bench.log);
}

#[test]
fn commands_without_end_are_refused_and_what_is_delayed_has_a_bound() {
    use crate::control::{Action, Direction, Rule};
    let mut bench = Bench::new();
    let client = bench.client(1);
    let rule = Rule {
        client: Some(7),
        message: None,
        direction: Direction::Responses,
        action: Action::Drop,
        count: 1,
    };
    let fault = |rule: &Rule| Command::Fault(rule.clone());
    let refused = (0..2_000).find(|_| matches!(bench.command(&fault(&rule)), Answer::Refused(_)));
    assert!(refused.is_some(), "faults are kept without end");
    bench.command(&Command::Clear);
    let bulletin = Command::Bulletin { text: "z".repeat(60_000) };
    let refused = (0..2_000).find(|_| matches!(bench.command(&bulletin), Answer::Refused(_)));
    assert!(refused.is_some(), "bulletins are kept without end");
    let delay = Action::Delay { milliseconds: u64::MAX };
    let delayed = Rule { client: Some(1), action: delay, count: u32::MAX, ..rule };
    bench.command(&fault(&delayed));
    bench.listen(client);
    let all = crate::message::session::NewsBulletinsRequest { all: true };
    // All bulletins are six megabytes: the first two answers wait, what is beyond leaves.
    for _ in 0..4 {
        bench.pass(1_000);
        bench.send(client, &Request::NewsBulletins(all.clone()));
    }
    assert!(!bench.listen(client).is_empty(), "delayed frames are kept without end");
}
