//! The configuration reference says what the code does.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::collections::BTreeMap;

use tagio_relay_core::Limits;

/// The rows of the table of limits: key and default.
fn documented() -> BTreeMap<String, u64> {
    let page = include_str!("../../docs/CONFIG.md");
    let section = page.split("### Limits").nth(1).expect("the section is there");
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let (key, rest) = row.split_once("` | ").expect("a key, then its default");
        let default = rest.split(" |").next().unwrap();
        (key.to_owned(), default.parse().unwrap_or_else(|_| panic!("{key}: {default} is no number")))
    })
    .collect()
}

#[test]
fn every_limit_stands_in_the_reference_with_its_default() {
    let code: BTreeMap<_, _> =
        Limits::default().iter().map(|(field, value)| (field.replace('_', "-"), value)).collect();
    let documented = documented();
    for (key, value) in &code {
        assert_eq!(documented.get(key), Some(value), "{key} in docs/CONFIG.md");
    }
    for key in documented.keys() {
        assert!(code.contains_key(key), "docs/CONFIG.md has {key}, the code has not");
    }
}

#[test]
fn every_flag_stands_in_the_reference() {
    use clap::CommandFactory;
    let page = include_str!("../../docs/CONFIG.md");
    let command = tagio_relay_server::config::Args::command();
    for flag in command.get_arguments().filter_map(|argument| argument.get_long()) {
        assert!(page.contains(&format!("`--{flag}`")), "--{flag} in docs/CONFIG.md");
    }
}
