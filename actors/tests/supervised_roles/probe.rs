//! A role that does what it is told, and a bench that writes down what happens to it.

use actors::runtime::clock::Clock;
use actors::runtime::fault::{FaultBoard, Permission};
use actors::runtime::policy::{Beyond, ChildPolicy, Intensity, Strategy};
use actors::runtime::protocol::ProtocolStep;
use actors::runtime::role::{Context, Role, RoleError, RoleMessage};
use actors::runtime::role_ref::{AskError, RoleRef};
use actors::runtime::specification::{ChildSpec, SupervisorSpec};
use actors::runtime::tree::{Happening, Hooks, Setup, Tree};
use market::time::{ProcessTime, Timestamp};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;

pub enum Say {
    Note(u64),
    Sum(oneshot::Sender<u64>),
    Panic,
    Fail,
    Hang,
    Step,
    WakeIn(Duration),
}

impl RoleMessage for Say {
    fn duplicate(&self) -> Option<Self> {
        if let Self::Note(number) = self { Some(Self::Note(*number)) } else { None }
    }
    fn may_drop(&self) -> bool {
        matches!(self, Self::Note(_))
    }
    fn label(&self) -> &'static str {
        "say"
    }
}

pub type Diary = Arc<Mutex<Vec<String>>>;

pub struct Probe {
    name: String,
    sum: u64,
    wake: Option<ProcessTime>,
    diary: Diary,
}

impl Role for Probe {
    type Message = Say;
    fn handle(&mut self, message: Say, cx: &mut Context<Say>) -> Result<(), RoleError> {
        match message {
            Say::Note(number) => self.sum += number,
            Say::Sum(reply) => {
                // The asker may have given up.
                let _ = reply.send(self.sum);
            }
            Say::Panic => panic!("boom"),
            Say::Fail => return Err(RoleError::failed("no good")),
            Say::Hang => cx.unready(),
            Say::Step => cx.faults().step(ProtocolStep::Durable, 7)?,
            Say::WakeIn(wait) => self.wake = Some(cx.now().process + wait),
        }
        Ok(())
    }
    fn next_wake(&self) -> Option<(ProcessTime, &'static str)> {
        self.wake.map(|at| (at, "asked"))
    }
    fn on_wake(&mut self, cx: &mut Context<Say>) -> Result<(), RoleError> {
        self.wake = None;
        let at = cx.now().process.since(ProcessTime::ZERO).as_millis();
        self.diary.lock().unwrap().push(format!("wake {} {at}", self.name));
        Ok(())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.diary.lock().unwrap().push(format!("drop {}", self.name));
    }
}

pub struct Bench {
    pub clock: Clock,
    pub faults: FaultBoard,
    pub diary: Diary,
    pub hooks: Hooks,
}

impl Bench {
    pub fn new(seed: u64) -> Self {
        let granted = Permission::Granted { max_ttl: Duration::from_secs(86_400) };
        let clock = Clock::simulated(Timestamp::EPOCH, 1000);
        let diary = Diary::default();
        let (told, exhausted, halted) = (diary.clone(), diary.clone(), diary.clone());
        let hooks = Hooks::default()
            .on_event(move |event| {
                let at = event.at.since(ProcessTime::ZERO).as_millis();
                let line = format!("{at} {} {:?}", event.role, event.what);
                if !matches!(event.what, Happening::Readiness { .. }) {
                    told.lock().unwrap().push(line);
                }
            })
            .on_exhausted(move |reason| {
                exhausted.lock().unwrap().push(format!("EXHAUSTED {reason}"))
            })
            .on_halt(move |reason| halted.lock().unwrap().push(format!("HALT {reason}")));
        Self { clock, faults: FaultBoard::new(granted, seed), diary, hooks }
    }

    pub fn probe(&self, own: &RoleRef<Say>, policy: ChildPolicy) -> ChildSpec {
        let diary = self.diary.clone();
        ChildSpec::role(own, policy, move |cx| {
            let name = format!("{}#{}", cx.path(), cx.generation());
            diary.lock().unwrap().push(format!("make {name}"));
            cx.ready();
            Ok(Probe { name, sum: 0, wake: None, diary: diary.clone() })
        })
    }

    pub async fn launch(&self, spec: SupervisorSpec) -> Tree {
        let setup = Setup {
            hooks: self.hooks.clone(),
            ..Setup::new(self.clock.clone(), self.faults.clone())
        };
        let tree = Tree::launch(spec, setup).await.unwrap();
        settle().await;
        tree
    }

    /// What the roles themselves wrote since the last look.
    pub fn roles(&self) -> Vec<String> {
        let all = std::mem::take(&mut *self.diary.lock().unwrap());
        let own = ["make", "drop", "wake", "HALT", "EXHAUSTED"];
        all.into_iter().filter(|line| own.iter().any(|word| line.starts_with(word))).collect()
    }
}

/// Lets everything that is due happen.
pub async fn settle() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

pub fn sup(path: &str, strategy: Strategy, restarts: u32) -> SupervisorSpec {
    let intensity = Some(Intensity::new(restarts, Duration::from_secs(60)));
    SupervisorSpec::new(path, strategy, intensity, Beyond::Escalate)
}

pub async fn sum(role: &RoleRef<Say>) -> Result<u64, AskError> {
    role.ask(Say::Sum, Duration::from_secs(1)).await
}
