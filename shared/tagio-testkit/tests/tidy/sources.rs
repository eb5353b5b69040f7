//! What Rust sources keep to: short files that say what they are, and pure crates that stay pure.

use std::path::Path;

use tagio_testkit::binaries::workspace;

use crate::{
    report,
    text::{files, read, shown},
};

/// Crates without clock, socket, thread or runtime, so that tests can hand them time and bytes.
const PURE_CRATES: [&str; 4] = ["tagio-wire", "tagio-session", "tagio-relay-core", "tagio-media"];

/// What gives such a crate away.
const IMPURE_WORDS: [&str; 9] = [
    "tokio",
    "mio",
    "socket2",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "Instant::now",
    "SystemTime::now",
    "async fn",
];

/// Production lines at which a file is worth a talk.
const LINES_TALK: usize = 500;
/// Production lines above which it has to be split.
const LINES_MAX: usize = 800;

/// A source without its tests, which stand last in a file.
pub(crate) fn production_part(source: &str) -> &str {
    source.find("#[cfg(test)]\nmod ").map_or(source, |at| &source[..at])
}

/// The code of a line, without its comment. A `//` in a string cuts too much, never too little.
pub(crate) fn code_of(line: &str) -> &str {
    line.find("//").map_or(line, |at| &line[..at]).trim_end()
}

fn sources_of_programs() -> Vec<std::path::PathBuf> {
    let is_source = |path: &Path| shown(path).contains("/src/");
    files(&workspace(), &["rs"]).into_iter().filter(|path| is_source(path)).collect()
}

fn is_test_module(path: &Path) -> bool {
    let shown = shown(path);
    shown.ends_with("/tests.rs") || shown.contains("/tests/")
}

fn contains_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(is_part)
            && !line[at + word.len()..].chars().next().is_some_and(is_part)
    })
}

#[test]
fn every_source_says_first_what_it_is() {
    let silent = |path: &Path| !read(path).starts_with("//! ");
    let findings: Vec<_> =
        sources_of_programs().iter().filter(|path| silent(path)).map(|path| shown(path)).collect();
    report(&findings, "begin the file with a `//!` line that says what it is for");
}

#[test]
fn files_stay_short() {
    let mut findings = Vec::new();
    for path in sources_of_programs() {
        let lines = production_part(&read(&path)).lines().count();
        if lines > LINES_MAX {
            findings.push(format!("{} has {lines} lines", shown(&path)));
        } else if lines > LINES_TALK {
            eprintln!("worth a talk: {} has {lines} lines", shown(&path));
        }
    }
    report(&findings, "split it where its reasons to change part (800 lines without tests are the most)");
}

#[test]
fn pure_crates_touch_neither_clock_nor_network() {
    let mut findings = Vec::new();
    for name in PURE_CRATES {
        for path in files(&workspace().join("shared").join(name).join("src"), &["rs"]) {
            if is_test_module(&path) {
                continue;
            }
            for (number, line) in production_part(&read(&path)).lines().enumerate() {
                for word in IMPURE_WORDS.iter().filter(|word| contains_word(code_of(line), word)) {
                    findings.push(format!("{}:{}: {word}", shown(&path), number + 1));
                }
            }
        }
    }
    report(
        &findings,
        "hand time, bytes and randomness in as arguments; IO belongs to tagio-transport and the programs",
    );
}

#[test]
fn the_checks_themselves_see_what_they_should() {
    assert!(contains_word("use tokio::net", "tokio") && !contains_word("a premiom", "mio"));
    assert_eq!(code_of("let a = 1; // Instant::now"), "let a = 1;");
    assert_eq!(production_part("fn a() {}\n#[cfg(test)]\nmod tests {\n}\n"), "fn a() {}\n");
}
