//! The command line's side of the control API.
//!
//! Answers of the node become views, refusals become failures with the node's own next step, and an
//! address where nothing answers becomes exit code 69. Not here: the other ways to halt
//! ([`crate::halting`]).

use crate::api::{API_PREFIX, TOKEN_HEADER, Token};
use crate::cli::ClientArgs;
use crate::failure::{Exit, Failure};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::time::Duration;
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

/// A little more than the node allows itself.
const PATIENCE: Duration = Duration::from_secs(12);
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);

#[derive(serde::Deserialize)]
struct ErrorBody {
    error: String,
    #[serde(default)]
    next: String,
}

/// Talks to one node.
pub struct Client {
    agent: Agent,
    address: String,
    state: PathBuf,
}

impl Client {
    /// A client of the node that `args` name. Nothing is sent yet.
    #[must_use]
    pub fn new(args: &ClientArgs) -> Self {
        Self::with_patience(args, PATIENCE)
    }

    /// A client that waits no longer than `patience` for an answer.
    #[must_use]
    pub fn with_patience(args: &ClientArgs, patience: Duration) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(patience))
            .timeout_connect(Some(patience.min(CONNECT_PATIENCE)))
            .http_status_as_error(false)
            // The node is on this machine, whatever the environment says about proxies.
            .proxy(None)
            .max_redirects(0)
            .build();
        Self { agent: config.into(), address: args.api.clone(), state: args.state.state.clone() }
    }

    /// Asks.
    ///
    /// # Errors
    /// Not reachable, or refused.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let answer = self.agent.get(self.url(path)).call();
        self.read(answer)
    }

    /// Commands.
    ///
    /// # Errors
    /// The token can't be read, not reachable, or refused.
    pub fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let token = Token::read(&self.state);
        let mut request = self.agent.post(self.url(path));
        if let Ok(token) = &token {
            request = request.header(TOKEN_HEADER, token.as_str());
        }
        // Sent without a token too: whether there is a node at all is the better answer.
        let answer = request.send_json(body);
        match (&answer, token) {
            (Ok(response), Err(error)) if response.status() == StatusCode::UNAUTHORIZED => {
                Err(Failure::usage(format!("the node at {} wants its token", self.address))
                    .because(error)
                    .next("name the running node's state folder with --state"))
            }
            (_, _) => self.read(answer),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{API_PREFIX}{path}", self.address)
    }

    fn read<T: DeserializeOwned>(
        &self,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<T, Failure> {
        let mut response = answer.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let foreign = |error: ureq::Error| {
            Failure::new(Exit::Unreachable, format!("{} does not answer as a node", self.address))
                .because(error)
                .next("check --api; is it another program's port?")
        };
        if status.is_success() {
            return response.body_mut().read_json().map_err(foreign);
        }
        let ErrorBody { error, next } = response.body_mut().read_json().map_err(foreign)?;
        let exit = match status {
            StatusCode::BAD_REQUEST
            | StatusCode::UNAUTHORIZED
            | StatusCode::NOT_FOUND
            | StatusCode::CONFLICT
            | StatusCode::UNPROCESSABLE_ENTITY => Exit::Usage,
            _ => Exit::Internal,
        };
        Err(Failure::new(exit, error).next(next))
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
                Failure::usage(format!("`{}` is no address", self.address))
                    .because(error)
                    .next("write such as --api 127.0.0.1:7400")
            }
            _ => Failure::new(Exit::Unreachable, format!("no node answers at {}", self.address))
                .because(error)
                .next("start one with `optionsib run`, or name its address with --api"),
        }
    }
}
