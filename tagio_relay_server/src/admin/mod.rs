//! What an admin sees in a browser: who is connected and how much is relayed, never what.
//!
//! The door is a token from the configuration; without one there is no such page. Whoever shows it gets a cookie with
//! a random name that this process forgets after a while.

mod events;
mod history;
mod sessions;
mod snapshot;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tagio_relay_core::{Denial, SourceNet};

use crate::{access::AuthHash, config::Secret, lock::lock, shared::Shared};

pub(crate) use events::Events;
use history::{Counters, History};
use sessions::{Name, SESSION, Sessions};

/// Name of the cookie.
const COOKIE: &str = "tagio_admin";
/// How old what the page shows may be.
const EVENT_EVERY: Duration = Duration::from_secs(2);

/// See the module.
pub(crate) struct Admin {
    started: Instant,
    token: Mutex<Option<AuthHash>>,
    sessions: Mutex<Sessions>,
    history: Mutex<History>,
}

impl Admin {
    pub(crate) fn new(token: Option<&Secret>) -> Self {
        Self {
            started: Instant::now(),
            token: Mutex::new(token.map(AuthHash::new)),
            sessions: Mutex::default(),
            history: Mutex::default(),
        }
    }

    /// Another token from now on. Where it is a new one, who is signed in has to show it.
    pub(crate) fn set_token(&self, token: Option<&Secret>) {
        let token = token.map(AuthHash::new);
        let mut current = lock(&self.token);
        if *current != token {
            *current = token;
            lock(&self.sessions).close_all();
        }
    }

    /// Whether there is such a page.
    pub(crate) fn is_there(&self) -> bool {
        lock(&self.token).is_some()
    }

    /// Signs a browser in: the value of its cookie header.
    pub(crate) fn sign_in(
        &self,
        shared: &Shared,
        net: SourceNet,
        token: &str,
        is_secure: bool,
    ) -> Result<String, Denial> {
        let now = Instant::now();
        let mut admission = lock(&shared.admission);
        admission.may_try_secret(net, now)?;
        if !lock(&self.token).as_ref().is_some_and(|hash| hash.matches(token.as_bytes())) {
            admission.wrong_secret(net, now);
            return Err(Denial::WrongSecret);
        }
        let name = lock(&self.sessions).open(&mut rand::rng(), now);
        Ok(cookie(&name.text(), SESSION, is_secure))
    }

    /// Whether `cookies`, as a browser sends them, name a session.
    pub(crate) fn is_signed_in(&self, cookies: &str) -> bool {
        name_in(cookies).is_some_and(|name| lock(&self.sessions).is_open(name, Instant::now()))
    }

    /// Ends the session that `cookies` name: the value of a header that makes the browser forget it.
    pub(crate) fn sign_out(&self, cookies: &str, is_secure: bool) -> String {
        if let Some(name) = name_in(cookies) {
            lock(&self.sessions).close(name);
        }
        cookie("", Duration::ZERO, is_secure)
    }

    /// Lets a second pass.
    pub(crate) fn handle_timeout(&self, shared: &Shared) {
        let now = Instant::now();
        let mut history = lock(&self.history);
        if history.is_due(now) {
            let gauges = lock(&shared.hub).gauges();
            history.add(
                now,
                Counters {
                    bytes: gauges.traffic.bytes,
                    clients: gauges.clients,
                    sessions: gauges.legs,
                    refused: shared.denials.iter().map(|(_, count)| count).collect(),
                },
            );
        }
    }

    /// What a page that is signed in shows, again and again while it is.
    pub(crate) fn events(shared: &Arc<Shared>, cookies: &str) -> Option<Events> {
        Some(Events::new(Arc::clone(shared), name_in(cookies)?))
    }

    fn is_open(&self, name: Name) -> bool {
        lock(&self.sessions).is_open(name, Instant::now())
    }

    fn json(&self, shared: &Shared) -> String {
        snapshot::json(shared, &lock(&self.history), self.started, Instant::now())
    }
}

/// The value of a `Set-Cookie` header (RFC 6265). No other site can make a browser send it.
fn cookie(value: &str, age: Duration, is_secure: bool) -> String {
    let secure = if is_secure { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/admin; Max-Age={}; HttpOnly; SameSite=Strict{secure}", age.as_secs())
}

fn name_in(cookies: &str) -> Option<Name> {
    let mut pairs = cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(name, value)| (name == COOKIE).then(|| Name::parse(value)).flatten())
}
