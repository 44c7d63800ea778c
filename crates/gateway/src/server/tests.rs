//! The server over real sockets, against clients that crowd, wait, never read, and flood: each has
//! a bound, a line in the log, and no effect on whoever behaves.
//!
//! Nothing is timed: a test waits for what must come, with a bound that only a failure reaches.

use super::*;
use crate::message::contract::Contract;
use crate::message::data::MarketDataRequest;
use crate::message::session::{Empty, StartApiRequest};
use crate::message::{Request, Response};
use crate::world::Settings;
use exchange::builtin::{BuiltinMarket, SIM};
use exchange::{Exchange, ExchangeConfig, MarketSource};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpSocket;

/// Only a failure waits so long.
const PATIENCE: Duration = Duration::from_secs(60);
const START: Timestamp = Timestamp::from_seconds(1_795_170_600);

/// What the server has said.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lines(&self, with: &str) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.bytes()).into_owned();
        text.lines().filter(|line| line.contains(with)).map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A server in this thread.
#[derive(Clone)]
struct Place {
    clients: SocketAddr,
    control: SocketAddr,
    log: Log,
}

/// Serves while `visit` lasts. Its log is that of this thread, as the server is.
fn visited<T>(
    settings: Settings,
    bounds: Bounds,
    speed: f64,
    visit: impl AsyncFnOnce(Place) -> T,
) -> T {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let config = ExchangeConfig {
            request_latency: Duration::ZERO,
            report_latency: Duration::ZERO,
            ..ExchangeConfig::default()
        };
        let source = MarketSource::Builtin(Box::new(BuiltinMarket::new(1, START)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let control = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = Place {
            clients: listener.local_addr().unwrap(),
            control: control.local_addr().unwrap(),
            log,
        };
        let host = Host {
            world: World::new(settings, Exchange::new(config, START), source),
            files: None,
            clock: MarketClock::new(START, speed),
            listener,
            control: Some(control),
            on_status: Box::new(|_| ()),
            bounds,
        };
        tokio::select! {
            biased;
            ended = serve(host, std::future::pending()) => panic!("the server ended: {ended:?}"),
            seen = tokio::time::timeout(PATIENCE, visit(place)) => seen.expect("in time"),
        }
    })
}

struct Client(TcpStream);

impl Client {
    /// Connects with a small buffer of its own, and shakes hands.
    async fn greet(place: &Place) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4_096)?;
        let mut client = Self(socket.connect(place.clients).await?);
        client.0.write_all(b"API\0\0\0\0\tv213..226").await?;
        let opening = client.frame().await?;
        assert!(opening.starts_with(b"226\0"), "{opening:?}");
        Ok(client)
    }

    async fn start(place: &Place, client_id: i32) -> Self {
        let mut client = Self::greet(place).await.expect("it is served");
        let start = StartApiRequest { client_id, capabilities: String::new() };
        client.send(&Request::StartApi(start)).await;
        client
    }

    async fn send(&mut self, request: &Request) {
        let body = [&(request.id() + 200).to_be_bytes()[..], &request.encode()].concat();
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        self.0.write_all(&[&length[..], &body].concat()).await.expect("it reads");
    }

    async fn frame(&mut self) -> io::Result<Vec<u8>> {
        let mut body = vec![0; self.0.read_u32().await? as usize];
        self.0.read_exact(&mut body).await?;
        Ok(body)
    }

    async fn is_served(&mut self) {
        self.send(&Request::CurrentTime(Empty {})).await;
        loop {
            let body = self.frame().await.expect("it is served");
            let number = i32::from_be_bytes(body[..4].try_into().unwrap());
            if let Ok(Response::CurrentTime(_)) = Response::decode(number - 200, &body[4..]) {
                return;
            }
        }
    }

    /// Reads until the other side closes; answers how much came.
    async fn until_closed(&mut self) -> usize {
        let mut rest = Vec::new();
        // A reset is an end too.
        let _ = self.0.read_to_end(&mut rest).await;
        rest.len()
    }
}

async fn tell(place: &Place, command: &str) -> String {
    let mut stream = TcpStream::connect(place.control).await.unwrap();
    stream.write_all(format!("{command}\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).await.unwrap();
    answer
}

async fn until(mut look: impl FnMut() -> bool) {
    while !look() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[test]
fn the_sixty_fifth_client_is_refused_until_another_leaves() {
    visited(Settings::new("DU1"), Bounds::default(), 0.0, async |place: Place| {
        let mut held = Vec::new();
        for _ in 0..Bounds::default().connections {
            held.push(Client::greet(&place).await.expect("there is room"));
        }
        assert!(Client::greet(&place).await.is_err(), "a crowd without a bound");
        assert_eq!(place.log.lines("a connection is refused: 64 are open").len(), 1);
        held.pop();
        while Client::greet(&place).await.is_err() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
}

#[test]
fn a_client_that_never_starts_the_api_is_closed_and_one_that_has_is_not() {
    let within = Duration::from_millis(30);
    let settings = Settings { start_within: within, ..Settings::new("DU1") };
    visited(settings, Bounds::default(), 0.0, async |place: Place| {
        let mut honest = Client::start(&place, 1).await;
        let mut greeted = Client::greet(&place).await.unwrap();
        let mut silent = Client(TcpStream::connect(place.clients).await.unwrap());
        assert_eq!(greeted.until_closed().await, 0);
        assert_eq!(silent.until_closed().await, 0);
        assert_eq!(place.log.lines("it didn't start the API").len(), 2);
        honest.is_served().await;
    });
}

#[test]
fn a_client_that_never_reads_its_hundred_lines_is_aborted_with_little_kept_for_it() {
    let bounds = Bounds { bytes: 64 * 1024, ..Bounds::default() };
    let settings = Settings { messages_per_second: 1_000, ..Settings::new("DU1") };
    visited(settings, bounds, 600.0, async |place: Place| {
        let mut slow = Client::start(&place, 1).await;
        for req_id in 0..100 {
            let contract = Contract {
                con_id: SIM.0.cast_signed(),
                exchange: "SMART".to_owned(),
                ..Contract::default()
            };
            let line = MarketDataRequest { req_id, contract, ..Default::default() };
            slow.send(&Request::MarketData(Box::new(line))).await;
        }
        let mut honest = Client::start(&place, 2).await;
        until(|| !place.log.lines("its client doesn't read").is_empty()).await;
        let told = place.log.lines("its client doesn't read").remove(0);
        let (before, _) = told.split_once(" bytes)").expect("it says how much waited");
        let waited: usize = before.rsplit('(').next().unwrap().parse().unwrap();
        assert!((1..=bounds.bytes).contains(&waited), "{told}");
        honest.is_served().await;
        let status = tell(&place, r#"{"do":"status"}"#).await;
        assert!(status.contains(r#""clients":[2]"#) && status.contains(r#""lines":0"#), "{status}");
        // What the system had taken may still come; then its end.
        slow.until_closed().await;
    });
}

#[test]
fn refusals_without_end_are_a_few_lines_a_second_in_the_log() {
    let bounds = Bounds { connections: 1, ..Bounds::default() };
    visited(Settings::new("DU1"), bounds, 0.0, async |place: Place| {
        let mut honest = Client::start(&place, 1).await;
        let began = Instant::now();
        for _ in 0..500 {
            assert!(Client::greet(&place).await.is_err());
        }
        honest.is_served().await;
        let windows = began.elapsed().as_secs() + 2;
        let lines = place.log.lines("a connection is refused").len() as u64;
        assert!((1..=windows * u64::from(WARNINGS_PER_SECOND)).contains(&lines), "{lines} lines");
    });
}

#[test]
fn a_command_without_end_is_refused_and_its_rest_is_no_command() {
    visited(Settings::new("DU1"), Bounds::default(), 0.0, async |place: Place| {
        let stream = TcpStream::connect(place.control).await.unwrap();
        let (read, mut write) = stream.into_split();
        let endless = tokio::spawn(async move {
            let long = [vec![b' '; 65_537], b"{\"do\":\"bulletin\",\"text\":\"x\"}\n".to_vec()];
            // It is closed in the midst.
            while write.write_all(&long.concat()).await.is_ok() {}
        });
        let mut answers = Vec::new();
        let _ = BufReader::new(read).read_to_end(&mut answers).await;
        endless.await.unwrap();
        let answers = String::from_utf8(answers).unwrap();
        assert!(!answers.contains("done"), "{answers}");
        assert!(tell(&place, r#"{"do":"status"}"#).await.contains("done"));
        let far = r#"{"do":"advance","milliseconds":18446744073709551615}"#;
        assert!(tell(&place, far).await.contains("31 days at most"));
    });
}

#[test]
fn silent_connections_to_the_control_port_are_few_and_end() {
    let bounds = Bounds { silence: Duration::from_millis(300), ..Bounds::default() };
    visited(Settings::new("DU1"), bounds, 0.0, async |place: Place| {
        let mut held = Vec::new();
        for _ in 0..bounds.commanders {
            held.push(TcpStream::connect(place.control).await.unwrap());
        }
        let mut one_more = Client(TcpStream::connect(place.control).await.unwrap());
        let mut told = String::new();
        one_more.0.read_to_string(&mut told).await.unwrap();
        assert!(told.contains("refused") && told.contains("8 connections are open"), "{told}");
        for stream in held {
            Client(stream).until_closed().await;
        }
        assert!(tell(&place, r#"{"do":"status"}"#).await.contains("done"));
    });
}
