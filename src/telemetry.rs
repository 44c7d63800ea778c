//! Logs and metrics of this process: where they go, and how much of them.
//!
//! Logs go to stderr (data is on stdout) and, if configured, as JSON lines into the state folder.
//! Metrics are declared in the actors' table; here they get their buckets and a recorder. Serving
//! them is the API's business.

use crate::failure::Failure;
use crate::terminal::Paint;
use actors::runtime::metrics::{self, ALL, Kind, describe_all};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Overrides the configured filter of the logs.
pub const LOG_VARIABLE: &str = "OPTIONSIB_LOG";
/// The folder of log files in the state folder.
pub const LOG_FOLDER: &str = "log";
const LOG_FILE: &str = "node.jsonl";
/// A log line takes the place of a line that is kept up to date, which is written anew below it.
const CLEAR_LINE: &[u8] = b"\r\x1b[K";
/// Histograms are drained this often, or their samples pile up.
const UPKEEP: Duration = Duration::from_secs(5);

/// Sends the logs where they belong, on a terminal `over_a_line` that is rewritten there. Once per
/// process.
///
/// # Errors
/// A wrong filter, a log file that can't be opened, or logs that go somewhere already.
pub fn start_logs(
    filter: &str,
    file_below: Option<&Path>,
    over_a_line: bool,
) -> Result<(), Failure> {
    let (name, directives) = match std::env::var(LOG_VARIABLE) {
        Ok(own) if !own.is_empty() => (LOG_VARIABLE, own),
        Ok(_) | Err(_) => ("log.filter", filter.to_owned()),
    };
    let filter = EnvFilter::try_new(&directives).map_err(|error| {
        Failure::new(crate::failure::Exit::Configuration, format!("{name} is no log filter"))
            .because(error)
            .next("write such as info, or info,actors=debug")
    })?;
    let file = file_below.map(log_file).transpose().map_err(|error| {
        Failure::internal("the log file can't be opened")
            .because(error)
            .next("free space or mend the rights of the state folder, or set log.file to false")
    })?;
    let people = tracing_subscriber::fmt::layer()
        .with_writer(move || {
            if over_a_line {
                // A terminal that is gone takes the log line no better than this.
                let _ = io::stderr().write_all(CLEAR_LINE);
            }
            io::stderr()
        })
        .with_ansi(Paint::for_stderr().is_on());
    let machines = file
        .map(|file| tracing_subscriber::fmt::layer().json().with_writer(Mutex::new(file)).boxed());
    tracing_subscriber::registry()
        .with(machines)
        .with(people)
        .with(filter)
        .try_init()
        .map_err(|error| Failure::internal("the logs go somewhere already").because(error))
}

fn log_file(state: &Path) -> io::Result<std::fs::File> {
    let folder = state.join(LOG_FOLDER);
    std::fs::create_dir_all(&folder)?;
    OpenOptions::new().create(true).append(true).open(folder.join(LOG_FILE))
}

/// A recorder with the buckets of every declared histogram.
fn builder() -> Result<PrometheusBuilder, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for metric in ALL {
        if let Kind::Histogram(buckets) = metric.kind {
            let matcher = Matcher::Full(metric.name.to_owned());
            builder = builder.set_buckets_for_metric(matcher, buckets)?;
        }
    }
    Ok(builder)
}

/// Installs the recorder of this process, describes every metric, and says which build runs in
/// which environment. Before any role starts.
///
/// # Errors
/// A recorder is installed already.
pub fn start_metrics(environment: &str) -> Result<PrometheusHandle, Failure> {
    let failed = |error: BuildError| Failure::internal("metrics can't be recorded").because(error);
    let handle = builder().map_err(failed)?.install_recorder().map_err(failed)?;
    describe_all();
    metrics::BUILD.gauge(&[env!("CARGO_PKG_VERSION"), environment]).set(1.0);
    Ok(handle)
}

/// Keeps the recorder small, for ever; spawn it on the control runtime.
pub async fn keep_up(recorder: PrometheusHandle) {
    loop {
        tokio::time::sleep(UPKEEP).await;
        recorder.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actors::runtime::metrics::{ACTOR_HANDLED, ACTOR_SECONDS};

    #[test]
    fn declared_metrics_are_rendered_with_help_and_their_own_buckets() {
        let handle = start_metrics("dev").unwrap();
        ACTOR_HANDLED.counter(&["desk"]).increment(3);
        ACTOR_SECONDS.histogram(&["desk"]).record(0.002);
        handle.run_upkeep();
        let text = handle.render();
        assert!(text.contains("# TYPE optionsib_actor_handler_seconds histogram"), "{text}");
        assert!(text.contains("optionsib_actor_handled_total{role=\"desk\"} 3"), "{text}");
        let bucket = "optionsib_actor_handler_seconds_bucket{role=\"desk\",le=\"0.003\"} 1";
        assert!(text.contains(bucket), "{text}");
        assert!(text.contains("# HELP optionsib_actor_handled_total messages"), "{text}");
        assert!(text.contains("environment=\"dev\""), "{text}");
    }
}
