//! The built binary as a gateway of its own, and a small client of the protobuf dialect, which
//! shares the message structures with the gateway; clients that don't are in `tests/clients`.

use gateway::message::contract::Contract;
use gateway::message::order::{ExecutionsRequest, Order, PlaceOrderRequest};
use gateway::message::session::{Empty, StartApiRequest};
use gateway::message::{Request, Response};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The stock of the built-in market.
pub const SIM: i32 = 1001;
/// Only a failure waits so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway that runs; it ends with its handle.
pub struct Gateway {
    /// The process.
    pub child: Child,
    /// Where clients connect.
    pub port: u16,
    /// Where commands come in.
    pub control: u16,
}

impl Gateway {
    /// On ports of its own, with its books in `state`.
    pub fn start(state: &Path) -> Self {
        Self::begin(Command::new(env!("CARGO_BIN_EXE_optionsib")), state)
    }

    /// By a command that runs the binary with what is added.
    pub fn begin(mut command: Command, state: &Path) -> Self {
        let mut child = command
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
    pub fn kill(mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }

    /// A command of its control port; what it answers.
    pub fn command(&self, line: &str) -> Value {
        command(self.control, line)
    }
}

/// The same for whoever has only the port.
pub fn command(control: u16, line: &str) -> Value {
    let mut stream = TcpStream::connect(("127.0.0.1", control)).expect("it listens");
    stream.write_all(format!("{line}\n").as_bytes()).expect("it reads");
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).expect("it answers");
    serde_json::from_str(&answer).expect("one JSON object")
}

/// A test that fails leaves no process.
impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client of the protobuf dialect.
pub struct Client {
    /// Its socket.
    pub stream: TcpStream,
}

impl Client {
    /// Shakes hands and starts the API.
    pub fn connect(gateway: &Gateway, client_id: i32) -> Self {
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

    /// Sends a request.
    pub fn send(&mut self, request: &Request) {
        let body = [&(request.id() + 200).to_be_bytes()[..], &request.encode()].concat();
        let length = u32::try_from(body.len()).expect("short");
        self.stream.write_all(&length.to_be_bytes()).expect("it reads");
        self.stream.write_all(&body).expect("it reads");
    }

    /// The next frame's body.
    pub fn frame(&mut self) -> Vec<u8> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).expect("a frame comes in time");
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut body).expect("a whole frame");
        body
    }

    /// The next response.
    pub fn hear(&mut self) -> Response {
        let body = self.frame();
        let number = i32::from_be_bytes(body[..4].try_into().expect("four bytes"));
        Response::decode(number - 200, &body[4..]).expect("a response")
    }

    /// Hears until `wanted` takes something.
    pub fn until<T>(&mut self, mut wanted: impl FnMut(&Response) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(&self.hear()) {
                return found;
            }
        }
    }

    /// Hears the next order id.
    pub fn next_id(&mut self) -> i32 {
        self.until(|response| match response {
            Response::NextValidId(next) => Some(next.order_id),
            _ => None,
        })
    }

    /// A good-till-canceled limit order in the stock.
    pub fn buy(&mut self, order_id: i32, quantity: i32, limit: f64, reference: &str) {
        let contract =
            Contract { con_id: SIM, exchange: "SMART".to_owned(), ..Contract::default() };
        let order = Order {
            action: "BUY".to_owned(),
            total_quantity: quantity.to_string(),
            order_type: "LMT".to_owned(),
            limit_price: Some(limit),
            tif: "GTC".to_owned(),
            order_ref: reference.to_owned(),
            ..Order::default()
        };
        let request = PlaceOrderRequest { order_id, contract, order };
        self.send(&Request::PlaceOrder(Box::new(request)));
    }

    /// Working orders: number, permanent id and reference.
    pub fn open_orders(&mut self) -> BTreeMap<i32, (i64, String)> {
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
    pub fn executions(&mut self) -> BTreeMap<String, (f64, String)> {
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
