//! Promise: the simulated gateway forgets nothing that it has told a client, whatever kills it, and
//! nothing that a client sends brings it down.
//!
//! The built binary over its real socket.

#[allow(dead_code, reason = "each end-to-end test uses its part of it")]
#[path = "node_process/gateway_process.rs"]
mod gateway_process;

use gateway::message::contract::{Contract, ContractDataRequest};
use gateway::message::data::MarketDataRequest;
use gateway::message::{Request, Response};
use gateway_process::{Client, Gateway, PATIENCE, SIM};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Instant;

const ROUNDS: i32 = 8;

#[test]
fn what_a_client_was_told_survives_kill_nine() {
    let folder = tempfile::tempdir().unwrap();
    let mut told: BTreeMap<String, (f64, String)> = BTreeMap::new();
    let mut working: BTreeMap<i32, (i64, String)> = BTreeMap::new();
    for round in 0..ROUNDS {
        let gateway = Gateway::start(folder.path());
        let mut client = Client::connect(&gateway, 9);
        let next = client.next_id();
        assert_eq!(next, 2 * round + 1, "numbers go on");
        assert_eq!(client.open_orders(), working);
        let known = client.executions();
        assert!(told.iter().all(|(id, one)| known.get(id) == Some(one)), "{told:?} {known:?}");
        client.buy(next, 10, 20.0, &format!("intent {next}"));
        let perm_id = client.until(|response| match response {
            Response::OrderStatus(one) if one.order_id == next => Some(one.perm_id),
            _ => None,
        });
        working.insert(next, (perm_id, format!("intent {next}")));
        client.buy(next + 1, 10, 1_000.0, "that fills");
        let fill = client.until(|response| match response {
            Response::ExecutionDetails(one) if one.execution.order_id == next + 1 => {
                Some(one.execution.clone())
            }
            _ => None,
        });
        // Killed the moment the fill is heard.
        gateway.kill();
        told.insert(fill.exec_id, (fill.price, fill.shares));
    }
    assert_eq!(told.len(), usize::try_from(ROUNDS).unwrap());
}

#[test]
fn rubbish_closes_its_own_connection_and_a_term_signal_ends_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::start(folder.path());
    let mut served = Client::connect(&gateway, 1);
    served.next_id();
    let openings: [&[u8]; 5] = [
        b"API\0\x7f\xff\xff\xff",
        b"GET / HTTP/1.1\r\n\r\n",
        b"API\0\0\0\0\tv213..226\xff\xff\xff\xff",
        b"API\0\0\0\0\tv100..150",
        b"\0\0\0\0\0\0\0\0",
    ];
    for bytes in openings {
        let mut stream = TcpStream::connect(("127.0.0.1", gateway.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.len() < 100, "closed after at most the answer to an opening");
    }
    // One that vanishes in the middle of a frame.
    let mut stream = TcpStream::connect(("127.0.0.1", gateway.port)).unwrap();
    stream.write_all(b"API\0\0\0\0\tv213..226\0\0\x10\0half").unwrap();
    drop(stream);
    assert_eq!(served.open_orders(), BTreeMap::new());
    let status = gateway.command(r#"{"do":"status"}"#);
    assert_eq!(status["done"]["clients"], serde_json::json!([1]));
    assert!(gateway.command("fly").get("refused").is_some());
    let pid = rustix::process::Pid::from_child(&gateway.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(gateway.child.wait().unwrap().success());
}

#[test]
fn a_client_that_does_not_read_is_closed_and_others_are_served_on() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path());
    let mut slow = Client::connect(&gateway, 1);
    let request = ContractDataRequest {
        req_id: 1,
        contract: Some(Contract {
            symbol: "SIM".to_owned(),
            sec_type: "OPT".to_owned(),
            ..Contract::default()
        }),
    };
    let request = Request::ContractData(Box::new(request));
    let clients = |gateway: &Gateway| {
        let status = gateway.command(r#"{"do":"status"}"#);
        status["done"]["clients"].as_array().map_or(0, Vec::len)
    };
    let deadline = Instant::now() + PATIENCE;
    while clients(&gateway) == 1 {
        assert!(Instant::now() < deadline, "it is never closed");
        // Whatever is beyond the pace is refused; a closed socket refuses everything.
        let body = [&209_i32.to_be_bytes()[..], &request.encode()].concat();
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let _ = slow.stream.write_all(&[&length[..], &body].concat());
        std::thread::yield_now();
    }
    let mut other = Client::connect(&gateway, 2);
    assert_eq!(other.next_id(), 1);
    let contract = Contract { con_id: SIM, ..Contract::default() };
    let line = MarketDataRequest { req_id: 5, contract, ..Default::default() };
    other.send(&Request::MarketData(Box::new(line)));
    let bid = other.until(|response| match response {
        Response::TickPrice(tick) if tick.tick_type == 1 => Some(tick.price),
        _ => None,
    });
    assert!(bid > 0.0);
    gateway.kill();
}

#[test]
fn without_a_free_socket_whoever_is_connected_is_served_and_later_comers_are_taken_later() {
    let folder = tempfile::tempdir().unwrap();
    // The shell's limit holds for what takes its place.
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 24; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_optionsib")]);
    let gateway = Gateway::begin(shell, folder.path());
    let mut served = Client::connect(&gateway, 1);
    served.next_id();
    let crowd: Vec<TcpStream> = (0..30)
        .map(|_| TcpStream::connect(("127.0.0.1", gateway.port)).expect("the system takes it"))
        .collect();
    // Each round waits for its answer, while no further socket can be had.
    for _ in 0..20 {
        assert_eq!(served.open_orders(), BTreeMap::new());
    }
    drop(crowd);
    assert_eq!(Client::connect(&gateway, 2).next_id(), 1);
    assert_eq!(served.open_orders(), BTreeMap::new());
}
