//! What every text file of the repository keeps to.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tagio_testkit::binaries::workspace;

use crate::report;

/// Built or recorded by machines.
const FOLDERS_LEFT_OUT: [&str; 3] = [".git", "target", "node_modules"];

/// All files below a folder of the workspace with one of these endings, in order.
pub(crate) fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(folder, endings, &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    // A missing folder holds no files.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if !FOLDERS_LEFT_OUT.iter().any(|name| path.ends_with(name)) {
                collect(&path, endings, found);
            }
        } else if path.extension().is_some_and(|ending| endings.iter().any(|wanted| ending == *wanted)) {
            found.push(path);
        }
    }
}

/// A path as people write it, relative to the workspace.
pub(crate) fn shown(path: &Path) -> String {
    let root = workspace();
    path.strip_prefix(&root).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .replace("\r\n", "\n")
}

#[test]
fn lines_have_no_tabs_and_no_trailing_blanks() {
    let mut findings = Vec::new();
    for path in files(&workspace(), &["rs", "toml", "md", "sh", "yml"]) {
        for (number, line) in read(&path).lines().enumerate() {
            if line.contains('\t') || line.ends_with(' ') {
                findings.push(format!("{}:{}", shown(&path), number + 1));
            }
        }
    }
    report(&findings, "use blanks for tabs, and end the line with its last character");
}

#[test]
fn open_ends_have_an_owner() {
    // Put together, so that this file is not its own finding.
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X"].concat()];
    let mut findings = Vec::new();
    for path in files(&workspace(), &["rs", "sh", "toml", "yml"]) {
        for (number, line) in read(&path).lines().enumerate() {
            let ownerless = marks.iter().any(|mark| {
                line.match_indices(mark.as_str()).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    let after = line[at + mark.len()..].chars().next();
                    let is_a_word = !before.is_some_and(char::is_alphanumeric)
                        && !after.is_some_and(char::is_alphanumeric);
                    is_a_word && after != Some('(')
                })
            });
            if ownerless {
                findings.push(format!("{}:{}", shown(&path), number + 1));
            }
        }
    }
    report(&findings, "finish it, or name an owner or an issue in parentheses right behind the mark");
}
