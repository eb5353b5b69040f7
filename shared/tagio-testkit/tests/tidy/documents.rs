//! What the documents promise: links that lead somewhere, and a protocol page that knows the code.

use std::path::Path;

use tagio_testkit::binaries::workspace;

use crate::{
    report,
    sources::{code_of, production_part},
    text::{files, read, shown},
};

fn documents() -> Vec<std::path::PathBuf> {
    let root = workspace();
    let mut found = files(&root.join("docs"), &["md"]);
    found.extend(
        ["README.md", "CONTRIBUTING.md"]
            .map(|name| root.join(name))
            .into_iter()
            .filter(|path| path.is_file()),
    );
    found
}

/// Targets of `[text](target)`, `![image](target)` and `src="target"`.
fn targets(text: &str) -> Vec<&str> {
    let between = |open: &'static str, close: char| {
        text.match_indices(open).filter_map(move |(at, _)| text[at + open.len()..].split(close).next())
    };
    between("](", ')').chain(between("src=\"", '"')).collect()
}

fn leads_out(target: &str) -> bool {
    target.contains("://") || target.starts_with("mailto:") || target.starts_with('#')
}

#[test]
fn links_and_images_lead_somewhere() {
    let mut findings = Vec::new();
    for path in documents() {
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        let text = read(&path);
        for target in targets(&text).into_iter().filter(|target| !leads_out(target)) {
            // Neither an anchor nor a title belongs to the path.
            let file = target.split(['#', ' ']).next().unwrap_or_default();
            if !folder.join(file).exists() {
                findings.push(format!("{}: {target}", shown(&path)));
            }
        }
    }
    report(&findings, "correct the path, or add the file");
}

/// FNV-1a over the code of `tagio-wire`: no comments, no blank lines, no tests.
fn wire_hash() -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for path in files(&workspace().join("shared/tagio-wire/src"), &["rs"]) {
        let source = read(&path);
        let code = production_part(&source).lines().map(code_of).filter(|line| !line.is_empty());
        for byte in code.flat_map(str::bytes) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

#[test]
fn the_protocol_page_was_read_again_after_the_wire_changed() {
    let page = workspace().join("docs/PROTOCOL.md");
    let line = format!("wire-hash: {}", wire_hash());
    let known = page.is_file() && read(&page).contains(&line);
    let finding =
        format!("shared/tagio-wire/src changed since docs/PROTOCOL.md was written; it should hold `{line}`");
    report(
        if known { &[] } else { std::slice::from_ref(&finding) },
        "read the page again, correct it, then put in the new line",
    );
}

#[test]
fn targets_are_found() {
    let text = "[a](b.md#c) ![d](e.png) <img src=\"f.png\"> [g](https://h)";
    assert_eq!(targets(text), ["b.md#c", "e.png", "https://h", "f.png"]);
}
