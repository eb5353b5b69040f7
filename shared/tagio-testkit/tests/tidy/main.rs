//! The rules of this repository, as tests: they need no reviewer to be a policeman.
//!
//! One module for each kind of thing that is looked at. Every check collects all its findings before it fails.

mod documents;
mod packages;
mod sources;
mod text;

/// Fails with every finding, one a line.
#[track_caller]
fn report(findings: &[String], advice: &str) {
    assert!(findings.is_empty(), "\n{}\n→ {advice}\n", findings.join("\n"));
}
