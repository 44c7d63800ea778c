//! The files that belong to the project, read once for all rules.
//!
//! What `.gitignore` names by a plain word (build output, the state of a node) is left out, so that
//! a developer's leftovers don't fail a test. Left to others: what is wrong with a file.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// One file.
#[derive(Clone, Debug)]
pub struct File {
    /// From the root of the repository, with `/`.
    pub path: String,
    /// Its text, empty if it is not UTF-8.
    pub text: String,
    /// Its size.
    pub bytes: u64,
}

impl File {
    /// A made-up file to try a rule on.
    pub fn sample(path: &str, text: &str) -> Self {
        let bytes = text.len() as u64;
        Self { path: path.to_owned(), text: text.to_owned(), bytes }
    }

    /// The last part of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// It is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the project, by path.
pub fn files() -> &'static [File] {
    static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
        let ignored = fs::read_to_string(root().join(".gitignore")).unwrap_or_default();
        let mut skipped: Vec<&str> = vec![".git"];
        skipped.extend(ignored.lines().map(|line| line.trim().trim_matches('/')));
        let mut files = Vec::new();
        collect(root(), &skipped, &mut files);
        files.sort_by(|one, other| one.path.cmp(&other.path));
        files
    });
    &FILES
}

/// The project's file at this path.
#[track_caller]
pub fn file(path: &str) -> &'static File {
    let found = files().iter().find(|file| file.path == path);
    found
        .unwrap_or_else(|| panic!("{path} is missing; restore it or change the rule that reads it"))
}

/// Fails with every finding.
#[track_caller]
pub fn expect_none(findings: &[String]) {
    assert!(findings.is_empty(), "{} findings:\n  {}", findings.len(), findings.join("\n  "));
}

/// Fails unless there is one finding per expected part, each containing its part.
#[track_caller]
pub fn expect_findings(findings: &[String], parts: &[&str]) {
    assert_eq!(findings.len(), parts.len(), "the findings are {findings:#?}");
    for (finding, part) in findings.iter().zip(parts) {
        assert!(finding.contains(part), "`{finding}` says nothing of `{part}`");
    }
}

fn collect(folder: &Path, skipped: &[&str], files: &mut Vec<File>) {
    let entries = fs::read_dir(folder).expect("the folders of the repository can be listed");
    for entry in entries {
        let path: PathBuf = entry.expect("an entry of a folder can be read").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if skipped.contains(&name) {
            continue;
        }
        if path.is_dir() {
            collect(&path, skipped, files);
            continue;
        }
        // A file that vanishes between listing and reading is an editor's, not the project's.
        let Ok(content) = fs::read(&path) else { continue };
        let bytes = content.len() as u64;
        let relative = path.strip_prefix(root()).expect("it was found below the root");
        let path = relative.to_string_lossy().replace('\\', "/");
        files.push(File { path, text: String::from_utf8(content).unwrap_or_default(), bytes });
    }
}
