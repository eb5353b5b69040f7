//! How users of the SOCKS5 front get out: a session through their node.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use prost::Message as _;
use tagio_edge::{link::Kind, pump::pump, session::SessionStream, wire::DestAddr};
use tagio_proxy::{Credentials, DialError, Outlet, Peer, Target, TurnedAway};
use tagio_relay_core::{Denial, SourceNet, edge::UserName};
use tokio::{net::TcpStream, time::timeout};

use super::{Edges, Opened, User, datagrams::Flows};
use crate::lock::lock;

/// The way out of the SOCKS5 front.
pub(super) struct Exit(pub(super) Arc<Edges>);

impl Outlet for Exit {
    type Client = User;
    type Stream = SessionStream;
    type Datagrams = Flows;

    fn wants_password(&self) -> bool {
        !self.0.users().is_empty()
    }

    fn admit(&self, peer: Peer<'_>) -> Option<User> {
        let net = SourceNet::from(peer.addr.ip());
        self.try_admit(peer.shown, net).map_err(|denial| self.0.deny(denial)).ok()
    }

    fn turned_away(&self, why: TurnedAway) {
        self.0.deny(match why {
            TurnedAway::Full => Denial::Full,
            TurnedAway::Source => Denial::HandshakesPerIp,
        });
    }

    async fn connect(&self, user: &User, target: &Target) -> Result<SessionStream, DialError> {
        let edges = &self.0;
        let opened = edges.open(user, Kind::Tcp);
        let Opened { session, node, .. } = opened.map_err(|denial| refusal(edges.deny(denial)))?;
        let patience = Duration::from_millis(edges.relay.limits().edge_create_ms.into());
        let dest = DestAddr { addr: target.to_string() }.encode_to_vec();
        let Ok(created) = timeout(patience, session.create(dest)).await else {
            edges.deny(Denial::EdgeCreate);
            return Err(DialError::TimedOut);
        };
        match created {
            Ok(reply) if reply.success => Ok(session.into_stream(node.version.knows_half_close())),
            Ok(reply) => {
                edges.deny(Denial::EdgeRefused);
                Err(meaning(&reply.err_msg))
            }
            Err(_) => {
                edges.deny(Denial::EdgeRefused);
                Err(DialError::Unavailable)
            }
        }
    }

    async fn datagrams(&self, user: &User) -> Result<Flows, DialError> {
        Ok(Flows::new(Arc::clone(&self.0), user.clone()))
    }

    async fn carry(&self, socket: TcpStream, early: Bytes, stream: SessionStream) -> io::Result<()> {
        pump(socket, early, stream).await
    }
}

impl Exit {
    /// Checks a user's name without what it asks for, and the password, in the same time whoever it is.
    fn try_admit(&self, shown: Option<&Credentials>, net: SourceNet) -> Result<User, Denial> {
        let mut admission = lock(&self.0.relay.admission);
        admission.may_try_secret(net, Instant::now())?;
        let name = UserName::parse(shown.map_or("", |shown| &shown.user));
        let plain = shown.map(|shown| Credentials {
            user: name.as_ref().map_or_else(String::new, |name| name.user.clone()),
            password: shown.password.clone(),
        });
        match name.filter(|_| self.0.users().admits(plain.as_ref())) {
            Some(name) => Ok(User { name, net }),
            None => {
                admission.wrong_secret(net, Instant::now());
                Err(Denial::EdgeUser)
            }
        }
    }
}

/// What a user hears of a session that was not opened.
fn refusal(denial: Denial) -> DialError {
    match denial {
        Denial::EdgeSessionsFull
        | Denial::EdgeSessionsPerUser
        | Denial::EdgeSessionsPerNode
        | Denial::EdgeSessionRate => DialError::NotAllowed,
        _ => DialError::Unavailable,
    }
}

/// What a node's words mean: they are its own, most often those of its system or of a library.
fn meaning(words: &str) -> DialError {
    let words = words.to_ascii_lowercase();
    let is_any = |signs: &[&str]| signs.iter().any(|sign| words.contains(sign));
    if is_any(&["allowed", "denied", "forbidden"]) {
        DialError::NotAllowed
    } else if is_any(&["refuse", "errno 111"]) {
        DialError::Refused
    } else if is_any(&["timed out", "timeout", "elapsed", "does not answer"]) {
        DialError::TimedOut
    } else if is_any(&["no such host", "lookup", "knows this name", "name or service"]) {
        DialError::UnknownName
    } else {
        DialError::Unreachable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_many_nodes_are_understood() {
        for (words, meant) in [
            ("this target is not allowed", DialError::NotAllowed),
            ("Connection refused (os error 111)", DialError::Refused),
            ("the target refuses the connection", DialError::Refused),
            ("[Errno 111] Connect call failed ('127.0.0.1', 1)", DialError::Refused),
            ("deadline has elapsed", DialError::TimedOut),
            ("dial tcp 192.0.2.1:80: i/o timeout", DialError::TimedOut),
            ("dial tcp: lookup x on 1.1.1.1:53: no such host", DialError::UnknownName),
            ("Network is unreachable (os error 101)", DialError::Unreachable),
            ("", DialError::Unreachable),
        ] {
            assert_eq!(meaning(words), meant, "{words}");
        }
    }
}
