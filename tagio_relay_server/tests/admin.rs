//! The pages for people: anybody's, and the admin's, which shows itself to nobody else.

mod common;

use common::{Client, PATIENCE, Relay, call, http, secret};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const TOKEN: &str = "four random words & a sign";

async fn relay() -> Relay {
    Relay::start_with(|config| config.admin_token = secret(TOKEN)).await
}

/// Asks for a page as a browser that sends `cookie`.
async fn get(relay: &Relay, path: &str, cookie: &str) -> String {
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: {cookie}\r\n\r\n");
    http(relay.addr, &head).await
}

/// Sends a form.
async fn post(relay: &Relay, path: &str, cookie: &str, form: &str) -> String {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: {cookie}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    http(relay.addr, &head).await
}

/// The cookie that an answer sets, as a browser sends it back.
fn cookie(answer: &str) -> String {
    let header = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie");
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/admin"] {
        assert!(header.contains(attribute), "{header}");
    }
    header.split(';').next().expect("a pair").to_owned()
}

async fn sign_in(relay: &Relay) -> String {
    let answer = post(relay, "/admin/login", "", "token=four+random+words+%26+a+sign").await;
    assert!(answer.starts_with("HTTP/1.1 303") && answer.contains("location: /admin"), "{answer}");
    cookie(&answer)
}

#[tokio::test]
async fn without_a_token_there_is_no_admin() {
    let relay = Relay::start().await;
    for path in ["/admin", "/admin/events"] {
        let answer = get(&relay, path, "").await;
        assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("admin-token"), "{answer}");
    }
    let answer = post(&relay, "/admin/login", "", "token=").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[tokio::test]
async fn only_the_token_opens_the_page_and_signing_out_closes_it() {
    let relay = relay().await;
    assert!(get(&relay, "/admin", "").await.contains("Sign in"));
    for form in ["token=wrong", "token=", "other=four", "%%%"] {
        let answer = post(&relay, "/admin/login", "", form).await;
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("not the token"), "{answer}");
        assert!(!answer.contains("set-cookie"), "{answer}");
    }
    relay.wait_denied("wrong_secret", 4).await;

    let cookie = sign_in(&relay).await;
    let page = get(&relay, "/admin", &format!("other=1; {cookie}")).await;
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("Sign out"), "{page}");
    assert!(page.contains("content-security-policy: default-src 'none'"), "{page}");
    let (name, value) = cookie.split_once('=').expect("a pair");
    let forged = format!("{name}={}", "0".repeat(value.len()));
    for other in [forged.as_str(), name, "tagio_admin=", "tagio_admin=<script>"] {
        assert!(get(&relay, "/admin", other).await.contains("Sign in"), "{other}");
        assert!(get(&relay, "/admin/events", other).await.starts_with("HTTP/1.1 401"), "{other}");
    }

    let answer = post(&relay, "/admin/logout", &cookie, "").await;
    assert!(answer.starts_with("HTTP/1.1 303") && answer.contains("Max-Age=0"), "{answer}");
    assert!(get(&relay, "/admin", &cookie).await.contains("Sign in"));
}

#[tokio::test]
async fn who_guesses_tokens_has_to_wait() {
    let relay = relay().await;
    for _ in 0..5 {
        post(&relay, "/admin/login", "", "token=guess").await;
    }
    let answer = post(&relay, "/admin/login", "", "token=four+random+words+%26+a+sign").await;
    assert!(answer.starts_with("HTTP/1.1 429") && answer.contains("Try again"), "{answer}");
    let long = format!("token={}", "x".repeat(100_000));
    assert!(post(&relay, "/admin/login", "", &long).await.starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn the_events_tell_who_is_there_and_end_with_the_session() {
    let relay = relay().await;
    let (mut caller, mut target) = (Client::connect(&relay).await, Client::connect(&relay).await);
    call(&mut caller, &mut target).await;
    let cookie = sign_in(&relay).await;

    let mut stream = TcpStream::connect(relay.addr).await.expect("a relay");
    let head = format!("GET /admin/events HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("a relay that reads");
    let mut seen = String::new();
    let reading = async {
        while !seen.contains("\n\n") || !seen.contains("data: {") {
            let mut piece = [0; 4096];
            let len = stream.read(&mut piece).await.expect("events");
            assert!(len > 0, "{seen}");
            seen.push_str(&String::from_utf8_lossy(&piece[..len]));
        }
    };
    timeout(PATIENCE, reading).await.expect("an event in time");
    assert!(seen.contains("content-type: text/event-stream"), "{seen}");
    for part in [
        "\"clients\":{\"total\":2,",
        "\"sessions\":{\"total\":1,",
        &format!("\"caller\":\"{}\"", caller.id()),
        &format!("\"target\":\"{}\"", target.id()),
    ] {
        assert!(seen.contains(part), "no {part} in {seen}");
    }
    post(&relay, "/admin/logout", &cookie, "").await;
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("an end in time").ok();

    let front = get(&relay, "/", "").await;
    assert!(front.contains("2 devices can be reached now"), "{front}");
}
