//! Words that may not stand in code, and words that must.

use crate::syntax::{each_sequence, group, is_sign, lex, line, word};
use crate::tree::{File, expect_findings, expect_none, files};
use proc_macro2::TokenTree;

/// Macros that leave work behind.
const UNFINISHED: [&str; 3] = ["todo", "unimplemented", "dbg"];

/// A crate that only some files of another may name.
struct Seam {
    named: &'static str,
    within: &'static str,
    only: &'static [&'static str],
}

/// The broker's own words must not be the exchange's: one misreading would pass its own test.
const SEAMS: [Seam; 2] = [
    Seam {
        named: "exchange",
        within: "crates/broker/src/",
        // The adapter's tests host the simulated gateway, which is made of an exchange.
        only: &[
            "crates/broker/src/simulated.rs",
            "crates/broker/src/simulated/",
            "crates/broker/src/ib/tests.rs",
            "crates/broker/src/ib/tests/futures.rs",
            "crates/broker/src/ib/tests/recorded_days.rs",
        ],
    },
    Seam {
        named: "ibapi",
        within: "crates/broker/src/",
        only: &["crates/broker/src/ib.rs", "crates/broker/src/ib/"],
    },
];

fn findings(file: &File) -> Vec<String> {
    let mut findings = Vec::new();
    each_sequence(lex(file), &mut |trees| {
        for at in 0..trees.len() {
            findings.extend(
                unfinished(trees, at)
                    .or_else(|| unbiased(trees, at))
                    .or_else(|| ignored(trees, at))
                    .or_else(|| across_a_seam(file, trees, at))
                    .map(|what| format!("{}:{}: {what}", file.path, line(&trees[at]))),
            );
        }
    });
    findings
}

fn unfinished(trees: &[TokenTree], at: usize) -> Option<String> {
    let name = word(trees, at)?;
    let called = is_sign(trees, at + 1, '!') && group(trees, at + 2).is_some();
    (called && UNFINISHED.contains(&name.as_str()))
        .then(|| format!("{name}! is unfinished work; finish it or return an error"))
}

fn unbiased(trees: &[TokenTree], at: usize) -> Option<String> {
    if word(trees, at)? != "select" || !is_sign(trees, at + 1, '!') {
        return None;
    }
    let arms: Vec<TokenTree> = group(trees, at + 2)?.into_iter().collect();
    let biased = word(&arms, 0).as_deref() == Some("biased") && is_sign(&arms, 1, ';');
    (!biased).then(|| {
        "select! takes its arms in random order, which no replay repeats; begin it with `biased;`"
            .to_owned()
    })
}

fn ignored(trees: &[TokenTree], at: usize) -> Option<String> {
    if !is_sign(trees, at, '#') {
        return None;
    }
    let mut bare = false;
    each_sequence(group(trees, at + 1)?, &mut |inner| {
        bare |= (0..inner.len())
            .any(|at| word(inner, at).as_deref() == Some("ignore") && !is_sign(inner, at + 1, '='));
    });
    bare.then(|| "an ignored test says nothing; give the reason: #[ignore = \"why\"]".to_owned())
}

fn across_a_seam(file: &File, trees: &[TokenTree], at: usize) -> Option<String> {
    let name = word(trees, at)?;
    let seam = SEAMS.iter().find(|seam| {
        let allowed = seam.only.iter().any(|part| file.path.starts_with(part));
        seam.named == name && file.path.starts_with(seam.within) && !allowed
    })?;
    let path_goes_on = is_sign(trees, at + 1, ':') && is_sign(trees, at + 2, ':');
    let imported = at > 0 && word(trees, at - 1).as_deref() == Some("use");
    let inside_a_path = at > 1 && is_sign(trees, at - 1, ':') && is_sign(trees, at - 2, ':');
    let of_another = inside_a_path && at > 2 && word(trees, at - 3).is_some();
    ((path_goes_on || imported) && !of_another)
        .then(|| format!("names `{name}`; only {} may, move it there", seam.only.join(" and ")))
}

#[test]
fn no_file_has_unfinished_unbiased_ignored_or_misplaced_code() {
    let all = files().iter().filter(|file| file.is_rust()).flat_map(findings);
    expect_none(&all.collect::<Vec<_>>());
}

#[test]
fn the_rules_about_words_find_bad_samples() {
    let text = r#"
        //! todo!() in a comment and "dbg!(1)" in a string are no code.
        fn one() { todo!() }
        fn two() { let text = "unimplemented!()"; dbg!(text); unimplemented!() }
        async fn three() {
            tokio::select! { _ = a() => {} }
            tokio::select! { biased; _ = a() => {} }
        }
        #[ignore] #[test] fn four() {}
        #[ignore = "needs a broker"] #[test] fn five() {}
        #[cfg_attr(windows, ignore)] #[test] fn six() {}
    "#;
    let found = findings(&File::sample("src/bad.rs", text));
    let parts = ["todo!", "#[ignore", "#[ignore", "dbg!", "unimplemented!", "select!"];
    let mut found: Vec<String> = found;
    found.sort_by_key(|finding| parts.iter().position(|part| finding.contains(part)));
    expect_findings(&found, &parts);
}

#[test]
fn the_rule_about_seams_finds_bad_samples() {
    let text = "use exchange::order::Order; use market::exchange::Name; fn f() { x.exchange; \
                ::exchange::start(); } use ibapi;";
    let in_port = findings(&File::sample("crates/broker/src/port.rs", text));
    expect_findings(&in_port, &["`exchange`", "`ibapi`", "`exchange`"]);
    let in_simulated = findings(&File::sample("crates/broker/src/simulated/port.rs", text));
    expect_findings(&in_simulated, &["`ibapi`"]);
    expect_none(&findings(&File::sample("crates/exchange/src/port.rs", text)));
}
