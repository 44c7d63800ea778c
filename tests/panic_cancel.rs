//! Promise: `optionsib panic` cancels every own order that it can, whatever the broker's answers
//! and the link are like, with no node, no journal and no readable configuration, and its report
//! says what became of each.
//!
//! The built binary against the built gateway, with a meddler between them that changes, loses and
//! cuts what the gateway says.

#[allow(dead_code, reason = "each end-to-end test uses its part of it")]
#[path = "node_process/gateway_process.rs"]
mod gateway_process;

use gateway::message::Response;
use gateway_process::{Client, Gateway, command};
use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

const ACCOUNT: &str = "DU1234567";
/// The client id of the node that is gone.
const NODE: i32 = 9;

/// What becomes of something that the gateway says.
enum Fate {
    Pass,
    Change(Box<Response>),
    Lose,
    /// The connection ends here.
    Cut,
}

type Meddle = Arc<Mutex<dyn FnMut(Response) -> Fate + Send>>;

/// Listens in the gateway's place; answers its port. It ends with the test's process.
fn meddler(gateway: &Gateway, meddle: impl FnMut(Response) -> Fate + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (port, behind) = (listener.local_addr().expect("it is bound").port(), gateway.port);
    let meddle: Meddle = Arc::new(Mutex::new(meddle));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, meddle) = (client.expect("a client"), Arc::clone(&meddle));
            let gateway = TcpStream::connect(("127.0.0.1", behind)).expect("it listens");
            let again = |stream: &TcpStream| stream.try_clone().expect("a free descriptor");
            let (mut from, mut to) = (again(&client), again(&gateway));
            std::thread::spawn(move || {
                // Either side may end it.
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
            std::thread::spawn(move || {
                let _ = pass(&gateway, &client, &meddle);
                let _ = client.shutdown(Shutdown::Both);
                let _ = gateway.shutdown(Shutdown::Both);
            });
        }
    });
    port
}

/// Passes what the gateway says on, until one of them ends or it is cut.
fn pass(mut gateway: &TcpStream, mut client: &TcpStream, meddle: &Meddle) -> io::Result<()> {
    let mut is_opening = true;
    loop {
        let mut length = [0; 4];
        gateway.read_exact(&mut length)?;
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        gateway.read_exact(&mut body)?;
        if !std::mem::take(&mut is_opening) {
            let number = i32::from_be_bytes(body[..4].try_into().expect("four bytes"));
            if let Ok(response) = Response::decode(number - 200, &body[4..]) {
                let mut decide = meddle.lock().expect("no test has failed");
                match (*decide)(response) {
                    Fate::Pass => {}
                    Fate::Change(other) => {
                        let number = (other.id() + 200).to_be_bytes();
                        body = [&number[..], &other.encode()].concat();
                    }
                    Fate::Lose => continue,
                    Fate::Cut => return Ok(()),
                }
            }
        }
        let length = u32::try_from(body.len()).expect("short").to_be_bytes();
        client.write_all(&[&length[..], &body].concat())?;
    }
}

fn reference(seq: i32) -> String {
    format!("oib.0000abcd.1.test.{seq}")
}

fn references(of: impl IntoIterator<Item = i32>) -> Vec<String> {
    of.into_iter().map(reference).collect()
}

/// Orders 1 to `count` of a node that is gone; they rest far below the market.
fn resting(gateway: &Gateway, count: i32) {
    let mut node = Client::connect(gateway, NODE);
    for seq in 1..=count {
        node.buy(seq, 10, 20.0, &reference(seq));
    }
    assert_eq!(node.open_orders().len(), usize::try_from(count).expect("a count"));
}

/// Runs it from an empty folder, by flags alone.
fn panic_by_flags(folder: &Path, port: u16) -> Output {
    let (address, client) = (format!("127.0.0.1:{port}"), NODE.to_string());
    let flags = ["--address", &address, "--client-id", &client, "--account", ACCOUNT, "--all"];
    panic_with(folder, &flags)
}

fn panic_with(folder: &Path, flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_optionsib"))
        .current_dir(folder)
        .args(["--json", "panic"])
        .args(flags)
        .output()
        .expect("the binary was built for this test")
}

#[track_caller]
fn report(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no report: {said}"))
}

/// The references of a kind in the report.
fn told(report: &Value, kind: &str) -> Vec<String> {
    let rows = report[kind].as_array().unwrap_or_else(|| panic!("no {kind}: {report}")).iter();
    let reference =
        |row: &Value| row["reference"].as_str().or(row.as_str()).expect("a reference").to_owned();
    let mut all: Vec<String> = rows.map(reference).collect();
    all.sort();
    all
}

#[track_caller]
fn all_canceled(output: &Output, gateway: &Gateway, count: i32) -> Value {
    let report = report(output);
    assert!(output.status.success(), "{report} {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(told(&report, "canceled"), references(1..=count), "{report}");
    assert_eq!((&report["remaining"], &report["confirmed"]), (&json!([]), &json!(true)));
    assert_eq!(Client::connect(gateway, NODE).open_orders().len(), 0, "{report}");
    report
}

#[test]
fn an_order_that_nobody_can_translate_keeps_no_other_from_being_canceled() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&folder.path().join("books"));
    resting(&gateway, 3);
    let port = meddler(&gateway, |response| match response {
        Response::OpenOrder(mut told) if told.order_id == 1 => {
            // A fraction of a share, in a contract without a number.
            "2.5".clone_into(&mut told.order.total_quantity);
            told.contract.con_id = -1;
            Fate::Change(Box::new(Response::OpenOrder(told)))
        }
        _ => Fate::Pass,
    });
    all_canceled(&panic_by_flags(folder.path(), port), &gateway, 3);
}

#[test]
fn one_corrupt_row_of_an_answer_is_not_the_end_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&folder.path().join("books"));
    resting(&gateway, 3);
    let fault = r#"{"do":"fault","client":9,"message":"OpenOrder","action":"corrupt","count":2}"#;
    assert!(gateway.command(fault).get("done").is_some());
    all_canceled(&panic_by_flags(folder.path(), gateway.port), &gateway, 3);
}

#[test]
fn one_empty_answer_is_not_taken_for_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&folder.path().join("books"));
    resting(&gateway, 2);
    let mut answers = 0;
    let port = meddler(&gateway, move |response| match response {
        // The first answer has an end and nothing else.
        Response::OpenOrder(_) | Response::OrderStatus(_) if answers == 0 => Fate::Lose,
        Response::OpenOrdersEnd(_) => {
            answers += 1;
            Fate::Pass
        }
        _ => Fate::Pass,
    });
    all_canceled(&panic_by_flags(folder.path(), port), &gateway, 2);
}

#[test]
fn a_link_that_breaks_midway_is_made_again_and_the_report_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&folder.path().join("books"));
    resting(&gateway, 5);
    let mut canceled = 0;
    let port = meddler(&gateway, move |response| match response {
        Response::OrderStatus(status) if status.status == "Cancelled" => {
            canceled += 1;
            if canceled == 2 { Fate::Cut } else { Fate::Pass }
        }
        _ => Fate::Pass,
    });
    let report = all_canceled(&panic_by_flags(folder.path(), port), &gateway, 5);
    assert_eq!(report["connections"], 2, "{report}");
}

#[test]
fn an_order_that_fills_before_its_cancel_is_reported_as_filled() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&folder.path().join("books"));
    let mut node = Client::connect(&gateway, NODE);
    node.buy(1, 10, 20.0, &reference(1));
    node.buy(2, 10, 1_000.0, &reference(2));
    let filled = node.executions();
    assert_eq!(filled.len(), 1, "the market takes the second");
    let bought = filled.values().next().unwrap().0;
    node.buy(3, 10, bought - 0.05, &reference(3));
    assert_eq!(node.open_orders().len(), 2);
    drop(node);
    let control = gateway.control;
    let mut is_first = true;
    let port = meddler(&gateway, move |response| {
        let ends = matches!(response, Response::OpenOrdersEnd(_));
        if ends && std::mem::take(&mut is_first) {
            // Told as working; before the cancel is written the market goes through its limit.
            let on = r#"{"do":"advance","milliseconds":10000}"#;
            let has_filled = |_| command(control, on)["done"]["executions"] != 1;
            assert!((0..10_000).any(has_filled), "it never falls so far");
        }
        Fate::Pass
    });
    let output = panic_by_flags(folder.path(), port);
    let report = report(&output);
    assert!(output.status.success(), "{report}");
    assert_eq!(told(&report, "filled"), references([3]), "{report}");
    assert_eq!(told(&report, "canceled"), references([1]), "{report}");
}

#[test]
fn orders_of_others_are_left_and_what_another_client_placed_is_said_to_remain() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&folder.path().join("books"));
    resting(&gateway, 1);
    let mut other = Client::connect(&gateway, 4);
    let next = other.next_id();
    other.buy(next, 10, 20.0, &reference(2));
    other.buy(next + 1, 10, 20.0, "mine, not yours");
    assert_eq!(other.open_orders().len(), 2);
    let output = panic_by_flags(folder.path(), gateway.port);
    let report = report(&output);
    assert_eq!(output.status.code(), Some(70), "{report}");
    assert_eq!(told(&report, "canceled"), references([1]), "{report}");
    assert_eq!(told(&report, "remaining"), references([2]), "{report}");
    assert_eq!((&report["others"], &report["confirmed"]), (&json!(1), &json!(true)), "{report}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("--client-id 4"), "{said}");
    assert_eq!(other.open_orders().len(), 2);
}

#[test]
fn broken_files_are_not_needed_and_without_flags_it_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&folder.path().join("books"));
    resting(&gateway, 1);
    let config = folder.path().join("config");
    std::fs::create_dir_all(config.join("environment")).unwrap();
    std::fs::write(config.join("main.yaml"), "{broken: [").unwrap();
    let output = panic_with(folder.path(), &["--all"]);
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8_lossy(&output.stderr);
    for part in ["main.yaml", "--address", "--client-id", "--account"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    all_canceled(&panic_by_flags(folder.path(), gateway.port), &gateway, 1);

    // Files whose other keys, and whose strategies, are broken still say where and who.
    let mut node = Client::connect(&gateway, NODE);
    let next = node.next_id();
    node.buy(next, 10, 20.0, &reference(2));
    assert_eq!(node.open_orders().len(), 1);
    drop(node);
    let main = json!({
        "account": {"id": ACCOUNT, "alias": 3},
        "broker": {"kind": "ib", "address": format!("127.0.0.1:{}", gateway.port),
            "order_client_id": NODE, "lines": "many"},
        "limits": {"delta_maximum": "none"},
        "strategies": ["nobody"],
    });
    std::fs::write(config.join("main.yaml"), main.to_string()).unwrap();
    std::fs::write(config.join("environment/dev.yaml"), "{}").unwrap();
    let output = panic_with(folder.path(), &["--all"]);
    let report = report(&output);
    assert!(output.status.success(), "{report} {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(told(&report, "canceled"), references([2]), "{report}");
}
