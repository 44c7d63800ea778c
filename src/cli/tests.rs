//! What each command line means, and which ones mean nothing.

use super::*;
use clap::CommandFactory;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split(' '))
}

fn client() -> ClientArgs {
    ClientArgs { api: DEFAULT_API.into(), state: state(DEFAULT_STATE) }
}

fn state(folder: &str) -> StateArgs {
    StateArgs { state: folder.into() }
}

#[test]
fn the_table_of_commands_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn each_command_line_means_what_the_manual_says() {
    let run = |speed, seed, api: Option<&str>| {
        Command::Run(RunArgs {
            environment: Environment::Dev,
            live: None,
            state: state(DEFAULT_STATE),
            api: api.map(|api| api.parse().unwrap()),
            speed,
            seed,
            config: "config".into(),
        })
    };
    let table = [
        ("optionsib run", run(None, None, None)),
        (
            "optionsib run --speed 10 --seed 7 --api [::1]:7401",
            run(Some(10.0), Some(7), Some("[::1]:7401")),
        ),
        ("optionsib status", Command::Status(client())),
        ("optionsib tree", Command::Tree(client())),
        ("optionsib positions --api 127.0.0.1:7400", Command::Positions(client())),
        ("optionsib orders --state ./state", Command::Orders(client())),
        ("optionsib surfaces", Command::Surfaces(client())),
        (
            "optionsib reconcile --last",
            Command::Reconcile(ReconcileArgs { last: true, client: client() }),
        ),
        (
            "optionsib halt --reason lunch",
            Command::Halt(HaltArgs { reason: "lunch".into(), client: client() }),
        ),
        ("optionsib resume", Command::Resume(ResumeArgs { yes: false, client: client() })),
        ("optionsib resume --yes", Command::Resume(ResumeArgs { yes: true, client: client() })),
        (
            "optionsib chaos kill desk",
            Command::Chaos(ChaosCommand::Kill { role: "desk".into(), client: client() }),
        ),
        (
            "optionsib chaos delay feed/SIM 200ms --for 10s",
            Command::Chaos(ChaosCommand::Delay(HoldArgs {
                role: "feed/SIM".into(),
                hold: Duration::from_millis(200),
                lasting: Duration::from_secs(10),
                client: client(),
            })),
        ),
        (
            "optionsib chaos panic desk",
            Command::Chaos(ChaosCommand::Panic(OnceArgs { role: "desk".into(), client: client() })),
        ),
        (
            "optionsib chaos drop session --share 30 --for 10s",
            Command::Chaos(ChaosCommand::Drop(ShareArgs {
                role: "session".into(),
                share: 30,
                lasting: Duration::from_secs(10),
                client: client(),
            })),
        ),
        ("optionsib chaos list", Command::Chaos(ChaosCommand::List { client: client() })),
        ("optionsib chaos clear", Command::Chaos(ChaosCommand::Clear { client: client() })),
        (
            "optionsib journal verify --state /s",
            Command::Journal(JournalCommand::Verify { state: state("/s") }),
        ),
        (
            "optionsib journal show --from 12",
            Command::Journal(JournalCommand::Show { from: 12, state: state(DEFAULT_STATE) }),
        ),
        ("optionsib snapshot list", Command::Snapshot(SnapshotCommand::List { client: client() })),
        (
            "optionsib snapshot create",
            Command::Snapshot(SnapshotCommand::Create { client: client() }),
        ),
        ("optionsib audit /s", Command::Audit(AuditArgs { state: "/s".into() })),
        ("optionsib price --csv -", Command::Price(TableArgs { csv: "-".into() })),
        ("optionsib iv --csv t.csv", Command::Iv(TableArgs { csv: "t.csv".into() })),
    ];
    for (line, meant) in table {
        assert_eq!(parse(line).unwrap().command, meant, "{line}");
    }
}

#[test]
fn a_replay_names_its_day_its_seeds_and_its_strategies() {
    let line = "optionsib replay data --date 2020-01-06 --underlying ES --seed 3 --chaos 7 --loops \
                2 --state s --json --fills f.json --strategies a,b --skip-bad-rows";
    let cli = parse(line).unwrap();
    assert!(cli.output.json);
    let Command::Replay(replay) = cli.command else { panic!("{:?}", cli.command) };
    assert_eq!(replay.date, Date::new(2020, 1, 6).unwrap());
    assert_eq!((replay.seed, replay.chaos, replay.loops), (3, Some(7), 2));
    assert_eq!(replay.strategies, Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(replay.fills, Some("f.json".into()));
    assert!(replay.skip_bad_rows);
}

#[test]
fn json_and_quiet_stand_before_or_after_the_command() {
    for line in ["optionsib --json --quiet status", "optionsib status --json -q"] {
        assert_eq!(parse(line).unwrap().output, Output { json: true, quiet: true }, "{line}");
    }
}

#[test]
fn what_can_not_be_meant_is_refused_with_exit_code_two() {
    for line in [
        "optionsib",
        "optionsib fly",
        "optionsib run --environment prod",
        "optionsib run --speed 0",
        "optionsib run --speed NaN",
        "optionsib run --api everywhere",
        "optionsib replay data",
        "optionsib replay data --date 2020-02-30",
        "optionsib replay data --date 2020-01-06 --loops 0",
        "optionsib halt",
        "optionsib halt --reason ",
        "optionsib chaos delay desk 200 --for 10s",
        "optionsib chaos delay desk 200ms",
        "optionsib chaos drop desk --share 0 --for 10s",
        "optionsib chaos duplicate desk --share 101 --for 10s",
        "optionsib chaos delay desk 0ms --for 10s",
        "optionsib chaos delay desk 200ms --for 25h",
        "optionsib journal show --from -1",
        "optionsib audit",
        "optionsib price",
        "optionsib iv t.csv",
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn a_moment_has_a_day_a_time_and_perhaps_a_rate() {
    let line = "optionsib surface data --date 2015-12-24 --at 10:30 --rate -0.005 --svg a.svg";
    let Ok(Cli { command: Command::Surface(args), .. }) = parse(line) else { panic!("{line}") };
    assert_eq!((args.at, args.rate), (Clock(37_800), Some(-0.005)));
    assert_eq!(args.at.to_string(), "10:30");
    assert_eq!(clock("23:59:59"), Ok(Clock(86_399)));
    assert_eq!(Clock(86_399).to_string(), "23:59:59");
    for wrong in ["24:00", "1:30", "10:60", "10", "10:30:15:1", "aa:bb", "+1:30"] {
        assert!(clock(wrong).is_err(), "{wrong}");
    }
    assert!(rate("NaN").is_err() && rate("2").is_err() && rate("0.0155").is_ok());
}
