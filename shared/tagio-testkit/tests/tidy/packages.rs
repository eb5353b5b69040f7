//! What Cargo knows: who may depend on whom, what is built, under which licences.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    process::Command,
};

use serde_json::Value;
use tagio_testkit::binaries::workspace;

use crate::report;

/// A star around `tagio-wire`; siblings never know each other. What is not listed is forbidden.
const EDGES: [(&str, &[&str]); 13] = [
    (
        "tagio-gui",
        &[
            "tagio-session",
            "tagio-media",
            "tagio-transport",
            "tagio-tunnel",
            "tagio-forward",
            "tagio-proxy",
            "tagio-edge",
            "tagio-process",
            "tagio-wire",
        ],
    ),
    (
        "tagio_relay_server",
        &[
            "tagio-relay-core",
            "tagio-transport",
            "tagio-tunnel",
            "tagio-forward",
            "tagio-proxy",
            "tagio-edge",
            "tagio-process",
            "tagio-wire",
        ],
    ),
    ("tagio-session", &["tagio-wire"]),
    ("tagio-relay-core", &["tagio-wire"]),
    ("tagio-media", &["tagio-wire"]),
    ("tagio-transport", &["tagio-wire"]),
    ("tagio-tunnel", &["tagio-wire"]),
    ("tagio-forward", &["tagio-proxy"]),
    ("tagio-proxy", &[]),
    // A node dials for others: by the one policy that there is for that.
    ("tagio-edge", &["tagio-proxy"]),
    ("tagio-process", &[]),
    ("tagio-testkit", &[]),
    ("tagio-wire", &[]),
];

/// The only one of ours that tests may use beside what their crate uses.
const FOR_TESTS: &str = "tagio-testkit";

/// What only a program with a window or a screen links.
const NOT_IN_THE_SERVER: [&str; 6] = ["egui", "eframe", "winit", "x11rb", "tagio-media", "tagio-session"];

fn metadata(args: &[&str]) -> Option<Value> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--offline"]).args(args).current_dir(workspace());
    let output = command.output().expect("cargo runs");
    output.status.success().then(|| serde_json::from_slice(&output.stdout).expect("cargo writes JSON"))
}

fn own_packages() -> Vec<Value> {
    let metadata = metadata(&["--no-deps"]).expect("cargo metadata of the workspace");
    list(&metadata, "packages").to_vec()
}

/// With all dependencies: of every platform where they are downloaded (`cargo fetch`), else of this one.
fn everything() -> Value {
    let this_platform = || metadata(&["--filter-platform", &host_triple()]);
    metadata(&[]).or_else(this_platform).expect("cargo metadata of all packages; run `cargo fetch` first")
}

fn host_triple() -> String {
    let output = Command::new("rustc").arg("-vV").output().expect("rustc runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its platform").to_owned()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

#[test]
fn crates_know_only_whom_they_may() {
    let edges = BTreeMap::from(EDGES);
    let mut findings = Vec::new();
    for package in own_packages() {
        let name = text(&package, "name");
        let Some(allowed) = edges.get(name) else {
            findings.push(format!("{name} is a new crate"));
            continue;
        };
        for dependency in
            list(&package, "dependencies").iter().filter(|dependency| dependency["path"].is_string())
        {
            let (on, kind) = (text(dependency, "name"), text(dependency, "kind"));
            let for_tests = kind == "dev" && on == FOR_TESTS;
            if !for_tests && !allowed.contains(&on) {
                findings.push(format!("{name} depends on {on} {kind}"));
            }
        }
    }
    report(
        &findings,
        "a new edge or crate is talked about first, then drawn here and in docs/ARCHITECTURE.md",
    );
}

#[test]
fn the_workspace_builds_two_programs_and_nothing_else() {
    let mut programs = BTreeSet::new();
    let mut findings = Vec::new();
    for package in own_packages() {
        for target in list(&package, "targets") {
            let name = text(target, "name").to_owned();
            match list(target, "kind").first().and_then(Value::as_str) {
                Some("bin") => drop(programs.insert(name)),
                Some("example") => {
                    findings.push(format!("{} has the example {name}", text(&package, "name")));
                }
                _ => {}
            }
        }
    }
    if programs != BTreeSet::from(["tagio-gui", "tagio_relay_server"].map(str::to_owned)) {
        findings.push(format!("the programs are {programs:?}"));
    }
    report(&findings, "there are two programs, tagio-gui and tagio_relay_server; use a subcommand or a test");
}

#[test]
fn the_server_links_no_window_and_no_picture() {
    let metadata = everything();
    let names: BTreeMap<&str, &str> = list(&metadata, "packages")
        .iter()
        .map(|package| (text(package, "id"), text(package, "name")))
        .collect();
    let nodes: BTreeMap<&str, &Value> =
        list(&metadata["resolve"], "nodes").iter().map(|node| (text(node, "id"), node)).collect();
    let server = names.iter().find(|(_, name)| **name == "tagio_relay_server").map(|(id, _)| *id);
    let mut unseen = vec![server.expect("the server is a package")];
    let mut linked = BTreeSet::new();
    while let Some(id) = unseen.pop() {
        if !linked.insert(id) {
            continue;
        }
        let is_linked =
            |dependency: &&Value| list(dependency, "dep_kinds").iter().any(|kind| kind["kind"].is_null());
        let dependencies = nodes.get(id).map_or(&[][..], |node| list(node, "deps"));
        unseen.extend(dependencies.iter().filter(is_linked).map(|dependency| text(dependency, "pkg")));
    }
    let linked: BTreeSet<&str> = linked.iter().filter_map(|id| names.get(id).copied()).collect();
    assert!(linked.contains("tagio-relay-core"), "the walk found only {linked:?}");
    let findings: Vec<_> = NOT_IN_THE_SERVER
        .iter()
        .filter(|name| linked.contains(**name))
        .map(|name| (*name).to_owned())
        .collect();
    report(
        &findings,
        "the relay runs on machines without a screen; find out by `cargo tree -p tagio_relay_server -i NAME`",
    );
}

#[test]
fn licences_let_anybody_use_the_programs() {
    let metadata = everything();
    let findings: Vec<_> = list(&metadata, "packages")
        .iter()
        .filter(|package| !is_free_to_link(text(package, "license")))
        .map(|package| {
            format!("{} {}: `{}`", text(package, "name"), text(package, "version"), text(package, "license"))
        })
        .collect();
    report(&findings, "find another crate: these licences ask something of everybody who passes TagIO on");
}

/// Whether one of the alternatives is there and asks for no sources (GPL and its relatives).
fn is_free_to_link(licence: &str) -> bool {
    licence
        .replace('/', " OR ")
        .split(" OR ")
        .any(|choice| !choice.trim().is_empty() && !choice.contains("GPL"))
}

#[test]
fn the_licence_check_reads_alternatives() {
    assert!(
        is_free_to_link("MIT") && is_free_to_link("MIT/Apache-2.0") && is_free_to_link("MIT OR LGPL-2.1")
    );
    assert!(
        !is_free_to_link("AGPL-3.0-only") && !is_free_to_link("GPL-2.0 OR GPL-3.0") && !is_free_to_link("")
    );
}
