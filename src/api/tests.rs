//! The API over a real loopback socket, in front of a control plane that answers from a script.

use super::*;
use crate::cli::{ClientArgs, StateArgs};
use crate::client::Client;
use crate::control::*;
use crate::failure::Exit;
use std::net::IpAddr;
use std::sync::Mutex;
use tempfile::TempDir;
use tokio::sync::oneshot;
use ureq::http::StatusCode;

/// Remembers what it was asked.
#[derive(Default)]
struct Scripted {
    asked: Mutex<Vec<String>>,
}

impl Scripted {
    fn note<T: Send + 'static>(
        &self,
        asked: String,
        answer: Result<T, ControlError>,
    ) -> Pending<'_, T> {
        self.asked.lock().unwrap().push(asked);
        Box::pin(async move { answer })
    }
}

fn snapshot() -> SnapshotView {
    SnapshotView { seq: 7, bytes: 100, blake3: "ab".into() }
}

impl ControlPlane for Scripted {
    fn status(&self) -> StatusView {
        StatusView {
            schema_version: SCHEMA_VERSION,
            ready: true,
            trading_state: "active".into(),
            broker_link: "ready".into(),
            journal_seq: 42,
            ..StatusView::default()
        }
    }

    fn tree(&self) -> Vec<TreeRow> {
        vec![TreeRow {
            role: "desk".into(),
            parent: Some("trade".into()),
            status: "ready".into(),
            generation: 2,
            restarts: 1,
            queue_depth: 0,
            last_reason: "killed".into(),
            detail: String::new(),
        }]
    }

    fn positions(&self) -> Vec<PositionView> {
        Vec::new()
    }

    fn orders(&self) -> Vec<OrderView> {
        Vec::new()
    }

    fn limits(&self) -> Vec<LimitView> {
        Vec::new()
    }

    fn surfaces(&self) -> Vec<SurfaceRow> {
        vec![SurfaceRow {
            symbol: "SIM".into(),
            expiry: "2026-06-19".into(),
            years: 0.1,
            forward: 100.25,
            at_the_money_vol: 0.2,
            rho: -0.5,
            psi: 0.25,
            quotes: 40,
            residual_vol: 0.001,
            inside: 0.975,
            fitted: "2026-05-01T14:00:00Z".into(),
            age_s: 12.5,
        }]
    }

    fn faults(&self) -> Vec<FaultView> {
        Vec::new()
    }

    fn reconciliation(&self) -> Option<ReconciliationView> {
        None
    }

    fn reconcile(&self) -> Pending<'_, ReconciliationView> {
        let what = "no reconciliation ended in time, the link is down".into();
        self.note("reconcile".into(), Err(ControlError::Unavailable { what }))
    }

    fn snapshots(&self) -> Pending<'_, Vec<SnapshotView>> {
        self.note("snapshots".into(), Ok(vec![snapshot()]))
    }

    fn accepted_intents_and_fills_since(&self, from: u64) -> Pending<'_, Vec<DurableEvent>> {
        let events = vec![
            DurableEvent::Intent { seq: from, key: "oib.1".into() },
            DurableEvent::Fill { seq: from + 1, exec_id: "e.1".into(), key: None },
        ];
        self.note(format!("events {from}"), Ok(events))
    }

    fn halt(&self, reason: String) -> Pending<'_, HaltAcknowledged> {
        self.note(format!("halt {reason}"), Ok(HaltAcknowledged { halt_epoch: 3 }))
    }

    fn resume(&self, by: String) -> Pending<'_, Resumed> {
        let refused = ControlError::Refused {
            what: "the file HALT is still there".into(),
            next: "remove it".into(),
        };
        self.note(format!("resume {by}"), Err(refused))
    }

    fn kill(&self, role: String) -> Pending<'_, ()> {
        let answer = match role.as_str() {
            "desk" => Ok(()),
            "stuck" => Err(ControlError::Unavailable { what: "the desk restarts".into() }),
            _ => Err(ControlError::UnknownRole { role: role.clone() }),
        };
        self.note(format!("kill {role}"), answer)
    }

    fn arm(&self, asked: FaultRequest) -> Pending<'_, FaultView> {
        let FaultRequest { role, fault, for_ms } = asked;
        let fault = format!("{fault:?}");
        let asked = format!("{fault} at {role} for {for_ms}");
        let view = FaultView { id: 1, role, fault, left: u32::MAX, ends_in_ms: for_ms };
        self.note(asked, Ok(view))
    }

    fn clear_faults(&self) -> Pending<'_, usize> {
        self.note("clear".into(), Ok(2))
    }

    fn create_snapshot(&self) -> Pending<'_, SnapshotView> {
        self.note("snapshot".into(), Ok(snapshot()))
    }
}

/// A served API; dropping it ends the server.
struct Served {
    control: Arc<Scripted>,
    address: SocketAddr,
    state: TempDir,
    token: Token,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Served {
    fn start() -> Self {
        let state = tempfile::tempdir().unwrap();
        let token = Token::create(state.path()).unwrap();
        let control = Arc::new(Scripted::default());
        let render: RenderMetrics = Arc::new(|| "optionsib_up 1\n".to_owned());
        let router = router(Arc::clone(&control) as Arc<dyn ControlPlane>, render, token.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let (bound, address) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
                bound.send(listener.local_addr().unwrap()).unwrap();
                // An idle connection that a client keeps must not hold the test up.
                tokio::select! {
                    biased;
                    _ = stopped => {}
                    served = serve(listener, router, std::future::pending()) => served.unwrap(),
                }
            });
        });
        let address = address.recv().unwrap();
        Self { control, address, state, token, stop: Some(stop), thread: Some(thread) }
    }

    fn client(&self) -> Client {
        self.client_with_state(self.state.path())
    }

    fn client_with_state(&self, state: &std::path::Path) -> Client {
        let state = StateArgs { state: state.to_owned() };
        Client::new(&ClientArgs { api: self.address.to_string(), state })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn asked(&self) -> Vec<String> {
        self.control.asked.lock().unwrap().clone()
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into()
}

fn error_of(mut response: ureq::http::Response<ureq::Body>) -> (StatusCode, serde_json::Value) {
    (response.status(), response.body_mut().read_json().unwrap())
}

#[test]
fn views_need_no_token_and_arrive_as_they_were_sent() {
    let served = Served::start();
    let client = served.client();
    let status: StatusView = client.get("/status").unwrap();
    assert_eq!(status, served.control.status());
    let tree: Vec<TreeRow> = client.get("/tree").unwrap();
    assert_eq!(tree, served.control.tree());
    assert_eq!(client.get::<Vec<PositionView>>("/positions").unwrap(), []);
    assert_eq!(client.get::<Vec<OrderView>>("/orders").unwrap(), []);
    assert_eq!(client.get::<Vec<LimitView>>("/limits").unwrap(), []);
    let surfaces: Vec<SurfaceRow> = client.get("/surfaces").unwrap();
    assert_eq!(surfaces, served.control.surfaces());
    assert_eq!(client.get::<Vec<FaultView>>("/faults").unwrap(), []);
    assert_eq!(client.get::<Vec<SnapshotView>>("/snapshots").unwrap(), [snapshot()]);
}

#[test]
fn the_durable_feed_begins_where_it_is_asked_to() {
    let served = Served::start();
    let events: serde_json::Value = served.client().get("/events?from=5").unwrap();
    let expected = serde_json::json!([
        {"kind": "intent", "seq": 5, "key": "oib.1"},
        {"kind": "fill", "seq": 6, "exec_id": "e.1", "key": null},
    ]);
    assert_eq!(events, expected);
    for wrong in ["/events?from=x", "/events?form=5"] {
        let failure = served.client().get::<serde_json::Value>(wrong).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage, "{wrong}");
    }
}

#[test]
fn commands_with_the_token_reach_the_control_plane() {
    let served = Served::start();
    let client = served.client();
    let halted: HaltAcknowledged =
        client.post("/halt", &serde_json::json!({"reason": "lunch"})).unwrap();
    assert_eq!(halted.halt_epoch, 3);
    let kill = KillRequest { role: "desk".into() };
    assert_eq!(client.post::<Killed>("/chaos/kill", &kill).unwrap().killed, "desk");
    let fault = FaultKind::Delay { hold_ms: 200 };
    let delay = FaultRequest { role: "desk".into(), fault, for_ms: 10_000 };
    let armed: FaultView = client.post("/chaos/arm", &delay).unwrap();
    assert_eq!((armed.role.as_str(), armed.ends_in_ms), ("desk", 10_000));
    let panic = serde_json::json!({"role": "risk", "fault": "panic", "for_ms": 5});
    assert_eq!(client.post::<FaultView>("/chaos/arm", &panic).unwrap().fault, "Panic");
    assert_eq!(client.post::<Cleared>("/chaos/clear", &()).unwrap().cleared, 2);
    assert_eq!(client.post::<SnapshotView>("/snapshots", &()).unwrap(), snapshot());
    assert_eq!(
        served.asked(),
        [
            "halt lunch",
            "kill desk",
            "Delay { hold_ms: 200 } at desk for 10000",
            "Panic at risk for 5",
            "clear",
            "snapshot"
        ]
    );
}

#[test]
fn a_refusal_carries_its_reason_and_next_step_to_the_user() {
    let served = Served::start();
    let client = served.client();
    let resume = ResumeRequest { by: "me".into() };
    let failure = client.post::<Resumed>("/resume", &resume).unwrap_err();
    assert_eq!(failure.exit, Exit::Usage);
    assert_eq!(
        (failure.what.as_str(), failure.next.as_str()),
        ("the file HALT is still there", "remove it")
    );
    let kill = |role: &str| {
        client.post::<Killed>("/chaos/kill", &KillRequest { role: role.into() }).unwrap_err()
    };
    let unknown = kill("dsk");
    assert_eq!(unknown.exit, Exit::Usage);
    assert!(unknown.what.contains("`dsk`") && unknown.next.contains("optionsib tree"));
    assert_eq!(kill("stuck").exit, Exit::Internal);
    let none = client.post::<ReconciliationView>("/reconciliation", &()).unwrap_err();
    assert_eq!(none.exit, Exit::Internal);
    assert!(none.what.contains("the link is down"), "{none}");
    assert_eq!(client.get::<Option<ReconciliationView>>("/reconciliation").unwrap(), None);
}

#[test]
fn without_the_right_token_nothing_changes() {
    let served = Served::start();
    let url = served.url("/api/v1/halt");
    let body = serde_json::json!({"reason": "x"});
    let without = agent().post(&url).send_json(&body).unwrap();
    let wrong = agent().post(&url).header(TOKEN_HEADER, "guess").send_json(&body).unwrap();
    for response in [without, wrong] {
        let (status, error) = error_of(response);
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert!(error["next"].as_str().unwrap().contains("api.token"), "{error}");
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let client = served.client_with_state(elsewhere.path());
    let failure = client.post::<Cleared>("/chaos/clear", &()).unwrap_err();
    assert!(failure.next.contains("--state"), "{failure}");
    assert_eq!(served.asked(), Vec::<String>::new());
}

#[test]
fn a_request_for_another_host_is_refused_even_with_the_token() {
    let served = Served::start();
    let mut request = agent().get(served.url("/api/v1/status"));
    request =
        request.header("host", "evil.example:7400").header(TOKEN_HEADER, served.token.as_str());
    let (status, error) = error_of(request.call().unwrap());
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(error["error"].as_str().unwrap().contains("Host"), "{error}");
    let own = agent().get(served.url("/healthz")).header("host", "localhost:1").call().unwrap();
    assert_eq!(own.status(), StatusCode::OK);
}

#[test]
fn wrong_paths_methods_and_bodies_get_json_errors() {
    let served = Served::start();
    let token = served.token.as_str();
    let get = |path: &str| error_of(agent().get(served.url(path)).call().unwrap());
    assert_eq!(get("/api/v1/nothing").0, StatusCode::NOT_FOUND);
    assert_eq!(get("/").0, StatusCode::NOT_FOUND);
    assert_eq!(get("/api/v1/halt").0, StatusCode::METHOD_NOT_ALLOWED);
    let post = |body: &str| {
        let request = agent().post(served.url("/api/v1/halt")).header(TOKEN_HEADER, token);
        error_of(request.header("content-type", "application/json").send(body).unwrap())
    };
    let (status, error) = post("{");
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(!error["next"].as_str().unwrap().is_empty());
    assert_eq!(post("{\"reason\": \"x\", \"more\": 1}").0, StatusCode::UNPROCESSABLE_ENTITY);
    let long = format!("{{\"reason\": \"{}\"}}", "x".repeat(20_000));
    assert_eq!(post(&long).0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(served.asked(), Vec::<String>::new());
}

#[test]
fn metrics_are_text_for_prometheus() {
    let served = Served::start();
    let mut response = agent().get(served.url("/metrics")).call().unwrap();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    assert_eq!(response.body_mut().read_to_string().unwrap(), "optionsib_up 1\n");
}

#[test]
fn only_loopback_addresses_are_bound_and_a_taken_one_is_named() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for open in ["0.0.0.0:0", "[::]:0", "192.0.2.1:7400"] {
            let error = bind(open.parse().unwrap()).await.unwrap_err();
            assert!(matches!(error, ApiError::NotLoopback { .. }), "{open}: {error}");
        }
        let first = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let taken = first.local_addr().unwrap();
        assert_eq!(taken.ip(), "127.0.0.1".parse::<IpAddr>().unwrap());
        let error = bind(taken).await.unwrap_err().to_string();
        assert!(error.contains(&taken.to_string()), "{error}");
    });
}

#[test]
fn where_no_node_answers_the_exit_code_is_69() {
    let state = tempfile::tempdir().unwrap();
    let client = |api: &str| {
        let state = StateArgs { state: state.path().to_owned() };
        Client::new(&ClientArgs { api: api.to_owned(), state })
    };
    // Bound and let go: nothing listens there.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failure = client(&gone.to_string()).get::<StatusView>("/status").unwrap_err();
    assert_eq!(failure.exit, Exit::Unreachable);
    assert!(failure.next.contains("optionsib run"), "{failure}");
    let failure = client(&gone.to_string()).post::<Cleared>("/chaos/clear", &()).unwrap_err();
    assert_eq!(failure.exit, Exit::Unreachable);
    let failure = client("no address").get::<StatusView>("/status").unwrap_err();
    assert_eq!(failure.exit, Exit::Usage);
}
