//! Promise: the simulated gateway forgets nothing that it has told a client, whatever kills it, and
//! nothing that a client sends brings it down.
//!
//! The built binary over its real socket, by a small client of the protobuf dialect that shares the
//! message structures with the gateway; clients that don't are in `tests/clients`.

use gateway::message::contract::{Contract, ContractDataRequest};
use gateway::message::data::MarketDataRequest;
use gateway::message::order::{ExecutionsRequest, Order, PlaceOrderRequest};
use gateway::message::session::{Empty, StartApiRequest};
use gateway::message::{Request, Response};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The stock of the built-in market.
const SIM: i32 = 1001;
const PATIENCE: Duration = Duration::from_secs(60);
const ROUNDS: i32 = 8;

struct Gateway {
    child: Child,
    port: u16,
    control: u16,
}

impl Gateway {
    fn start(state: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_optionsib"))
            .args(["--json", "gateway", "--port", "0", "--control-port", "0", "--state"])
            .arg(state)
            .env("OPTIONSIB_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary was built for this test");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
        let started: Value = serde_json::from_str(&line).expect("one JSON object");
        let port = |name: &str| -> u16 {
            let address = started[name].as_str().expect("an address");
            address.rsplit_once(':').expect("with a port").1.parse().expect("a number")
        };
        Self { port: port("listening"), control: port("control"), child }
    }

    /// As `kill -9` does it.
    fn kill(mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }

    fn command(&self, line: &str) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.control)).expect("it listens");
        stream.write_all(format!("{line}\n").as_bytes()).expect("it reads");
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).expect("it answers");
        serde_json::from_str(&answer).expect("one JSON object")
    }
}

struct Client {
    stream: TcpStream,
}

impl Client {
    fn connect(gateway: &Gateway, client_id: i32) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", gateway.port)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout above zero");
        stream.write_all(b"API\0\0\0\0\tv213..226").expect("it reads");
        let mut client = Self { stream };
        let opening = client.frame();
        assert!(opening.starts_with(b"226\0"), "{opening:?}");
        let start = StartApiRequest { client_id, capabilities: String::new() };
        client.send(&Request::StartApi(start));
        client
    }

    fn send(&mut self, request: &Request) {
        let body = [&(request.id() + 200).to_be_bytes()[..], &request.encode()].concat();
        let length = u32::try_from(body.len()).expect("short");
        self.stream.write_all(&length.to_be_bytes()).expect("it reads");
        self.stream.write_all(&body).expect("it reads");
    }

    fn frame(&mut self) -> Vec<u8> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).expect("a frame comes in time");
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut body).expect("a whole frame");
        body
    }

    fn hear(&mut self) -> Response {
        let body = self.frame();
        let number = i32::from_be_bytes(body[..4].try_into().expect("four bytes"));
        Response::decode(number - 200, &body[4..]).expect("a response")
    }

    /// Hears until `wanted` takes something.
    fn until<T>(&mut self, mut wanted: impl FnMut(&Response) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(&self.hear()) {
                return found;
            }
        }
    }

    fn next_id(&mut self) -> i32 {
        self.until(|response| match response {
            Response::NextValidId(next) => Some(next.order_id),
            _ => None,
        })
    }

    fn buy(&mut self, order_id: i32, quantity: i32, limit: f64) {
        let contract =
            Contract { con_id: SIM, exchange: "SMART".to_owned(), ..Contract::default() };
        let order = Order {
            action: "BUY".to_owned(),
            total_quantity: quantity.to_string(),
            order_type: "LMT".to_owned(),
            limit_price: Some(limit),
            tif: "GTC".to_owned(),
            order_ref: format!("intent {order_id}"),
            ..Order::default()
        };
        let request = PlaceOrderRequest { order_id, contract, order };
        self.send(&Request::PlaceOrder(Box::new(request)));
    }

    /// Working orders: number, permanent id and reference.
    fn open_orders(&mut self) -> BTreeMap<i32, (i64, String)> {
        self.send(&Request::OpenOrders(Empty {}));
        let mut open = BTreeMap::new();
        self.until(|response| match response {
            Response::OpenOrder(one) => {
                let told = (one.order.perm_id, one.order.order_ref.clone());
                open.insert(one.order_id, told);
                None
            }
            Response::OpenOrdersEnd(_) => Some(()),
            _ => None,
        });
        open
    }

    /// Executions by identity: price and size.
    fn executions(&mut self) -> BTreeMap<String, (f64, String)> {
        self.send(&Request::Executions(ExecutionsRequest { req_id: 77, filter: None }));
        let mut all = BTreeMap::new();
        self.until(|response| match response {
            Response::ExecutionDetails(one) if one.req_id == 77 => {
                let told = (one.execution.price, one.execution.shares.clone());
                all.insert(one.execution.exec_id.clone(), told);
                None
            }
            Response::ExecutionDetailsEnd(_) => Some(()),
            _ => None,
        });
        all
    }
}

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
        client.buy(next, 10, 20.0);
        let perm_id = client.until(|response| match response {
            Response::OrderStatus(one) if one.order_id == next => Some(one.perm_id),
            _ => None,
        });
        working.insert(next, (perm_id, format!("intent {next}")));
        client.buy(next + 1, 10, 1_000.0);
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
