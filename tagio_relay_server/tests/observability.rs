//! The metrics page, and what the documents and the dashboard say of it.

mod common;

use std::{collections::BTreeSet, fs, path::Path};

use common::{Relay, http};

/// What each metric's name starts with.
const PREFIX: &str = "tagio_relay_";

/// Every name of a metric in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
    text.split(|c: char| !is_part(c))
        .filter(|word| word.starts_with(PREFIX) && *word != "tagio_relay_server")
        .collect()
}

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[tokio::test]
async fn each_metric_is_explained_on_its_page_and_in_the_documents() {
    let relay = Relay::start().await;
    let page = http(relay.metrics, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let (_, page) = page.split_once("\r\n\r\n").expect("a body");
    let shown = names(page);
    assert!(shown.len() > 5, "{page}");
    for name in &shown {
        for comment in ["HELP", "TYPE"] {
            assert!(page.contains(&format!("# {comment} {name} ")), "no {comment} of {name}");
        }
    }
    let (deployment, dashboard) = (document("deployment.md"), document("grafana-dashboard.json"));
    assert_eq!(names(&deployment), shown, "the table of docs/deployment.md");
    let drawn = names(&dashboard);
    assert!(!drawn.is_empty() && drawn.is_subset(&shown), "{:?}", drawn.difference(&shown));
}
