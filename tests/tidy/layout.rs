//! The outside of files: names, sizes, headers, widths, and what no file may contain.

use crate::tree::{File, expect_findings, expect_none, files};

/// Names that say nothing of what is inside.
const EMPTY_NAMES: [&str; 9] =
    ["mod", "utils", "util", "common", "helpers", "helper", "types", "misc", "prelude"];
/// Columns of a line of code.
const COLUMNS_MAX: usize = 100;
/// Lines of a file.
const LINES_MAX: usize = 600;
/// Bytes of a file: data belongs beside the repository.
const BYTES_MAX: u64 = 256 * 1024;
/// How a file states why it is longer.
const LONG_FOR: &str = "// tidy-ok: lines: ";
/// Paths of the machine on which something was written; cut in two so that this file has none.
const MACHINE_PATHS: [&str; 4] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tmp/", "bash"), concat!("/ho", "me/")];
/// Words of work that was put off, cut in two as well.
const PUT_OFF: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];

fn findings(file: &File) -> Vec<String> {
    let mut findings = Vec::new();
    let mut find = |line: Option<usize>, what: String| {
        let line = line.map_or_else(String::new, |line| format!(":{}", line + 1));
        findings.push(format!("{}{line}: {what}", file.path));
    };
    if file.bytes > BYTES_MAX {
        find(None, format!("{} bytes; keep data beside the repository or cut it down", file.bytes));
    }
    if file.is_rust() {
        let stem = file.name().trim_end_matches(".rs");
        if EMPTY_NAMES.contains(&stem) {
            find(None, format!("`{stem}` names nothing; name the file after its one idea"));
        }
        if !file.text.starts_with("//! ") {
            find(None, "begin with `//! `: what it is, why it exists, what it leaves out".into());
        }
        if let Some(missing) = missing_in_role_header(file) {
            find(None, format!("a role's header says {missing}; add the line"));
        }
        let lines = file.text.lines().count();
        if lines > LINES_MAX && !states_a_reason(file) {
            find(None, format!("{lines} lines; split by idea, or state `{LONG_FOR}<reason>`"));
        }
    }
    let code = file.is_rust() || file.path.ends_with(".py") || file.path == ".ci/run";
    for (number, line) in file.text.lines().enumerate() {
        let comment = line.split_once("//").map_or("", |(_, comment)| comment);
        // The row of a table can't be broken.
        let table_row = comment.trim_start_matches(['/', '!', ' ']).starts_with("| ");
        if code && !table_row && line.chars().count() > COLUMNS_MAX {
            find(Some(number), format!("over {COLUMNS_MAX} columns; break the line"));
        }
        if file.is_rust() && PUT_OFF.iter().any(|word| comment.contains(word)) {
            find(Some(number), "work put off in a comment; do it or open an issue".into());
        }
        if let Some(path) = MACHINE_PATHS.iter().find(|path| names_path(line, path)) {
            find(Some(number), format!("`{path}` exists on one machine; use a relative path"));
        }
    }
    findings
}

fn states_a_reason(file: &File) -> bool {
    file.text.lines().any(|line| {
        line.trim().strip_prefix(LONG_FOR.trim_end()).is_some_and(|reason| reason.trim().len() > 9)
    })
}

/// Roles stand directly in `actors/src`; the runtime below it hosts them and is none.
fn missing_in_role_header(file: &File) -> Option<&'static str> {
    let beside = file.path.strip_prefix("actors/src/")?;
    if beside.contains('/') || !file.text.contains("\nimpl Role for ") {
        return None;
    }
    let header: Vec<&str> = file.text.lines().take_while(|line| line.starts_with("//!")).collect();
    ["*Restart:*", "*Loses:*"]
        .into_iter()
        .find(|mark| !header.iter().any(|line| line.starts_with(&format!("//! {mark} "))))
}

/// The path begins there: `https://x.org/work/` is not one of the machine.
fn names_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || "._-}~".contains(before))
    })
}

#[test]
fn every_file_is_named_headed_and_sized_as_the_house_does() {
    expect_none(&files().iter().flat_map(findings).collect::<Vec<_>>());
}

#[test]
fn the_rules_about_files_find_bad_samples() {
    let check = |path: &str, text: &str, parts: &[&str]| {
        expect_findings(&findings(&File::sample(path, text)), parts);
    };
    check("crates/x/src/utils.rs", "//! A file.\n", &["`utils`"]);
    check("crates/x/src/y/mod.rs", "use a;\n", &["`mod`", "begin with"]);
    check("src/y.rs", &format!("//! A file.\n// {}: later\n", PUT_OFF[0]), &["put off"]);
    check(
        "src/y.rs",
        &format!("//! A file.\nconst P: &str = \"{}x\";", MACHINE_PATHS[0]),
        &["exists on"],
    );
    check("src/y.rs", &format!("//! See https://x.org{}x.\n", MACHINE_PATHS[0]), &[]);
    check("src/y.rs", &format!("//! A file.\n{}\n", "é".repeat(101)), &["columns"]);
    check("src/y.rs", &format!("//! A file.\n{}\n", "é".repeat(100)), &[]);
    check("src/y.rs", &format!("//! A file.\n//! | {} |\n", "é".repeat(101)), &[]);
    let long = format!("//! A file.\n{}", "\n".repeat(600));
    check("src/y.rs", &long, &["601 lines"]);
    check("src/y.rs", &format!("{long}{LONG_FOR}one table of states"), &[]);
    check("src/y.rs", &format!("{long}{LONG_FOR}ok"), &["602 lines"]);
    check("data.bin", &"0".repeat(256 * 1024 + 1), &["bytes"]);
    let role = "//! A role.\n//!\n//! *Restart:* empty.\n\nimpl Role for Feed {}\n";
    check("actors/src/feed.rs", role, &["*Loses:*"]);
    check("actors/src/runtime/feed.rs", role, &[]);
}
