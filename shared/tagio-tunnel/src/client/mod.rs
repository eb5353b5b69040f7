//! The client of one reverse tunnel, from its first connection to its end.

mod backoff;
mod connect;
mod data;
mod flow;
mod pool;
mod session;
mod targets;
mod trunk;

use std::{fmt, io, sync::Arc, time::Duration};

use rand::RngExt;
use tagio_wire::{
    PublicKey,
    tunnel::{Manners, Place, TunnelRefusal, TunnelSecret},
};
use thiserror::Error;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::{frames::FrameError, greeting::GreetingError, inspect::Recorder, pipe::Meter};
use backoff::Backoff;
use session::{Ended, Session};

pub use connect::{Carrier, CarrierChoice};
pub use targets::Target;

pub(crate) use data::connect as connect_local;

/// A session that lasted so long was a good one: the next try after it comes soon.
const GOOD_SESSION: Duration = Duration::from_secs(10);

/// What a tunnel is to be.
#[derive(Clone)]
pub struct ClientConfig {
    /// Name or address of the relay.
    pub host: String,
    /// Its tunnel port.
    pub port: u16,
    /// What it travels in.
    pub carrier: CarrierChoice,
    /// The relay's key. Without it the first one seen is trusted, for this run.
    pub key: Option<PublicKey>,
    /// What the relay asks for, and has to know itself.
    pub token: Option<Zeroizing<String>>,
    /// Where visitors come in.
    pub place: Place,
    /// How the relay treats them.
    pub manners: Manners,
    /// Who serves them, here. Never empty.
    pub targets: Vec<Target>,
    /// How long visitors may stay when the client is to stop.
    pub drain: Duration,
    /// Counts visitors' bytes, over all connections to the relay.
    pub meter: Arc<Meter>,
    /// Keeps the last requests, where they are HTTP/1.1 and somebody wants to look at them.
    pub recorder: Option<Arc<Recorder>>,
}

/// What happens to a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// Visitors may come.
    Opened(Standing),
    /// It does not stand; the client tries again.
    Down(String),
}

/// A tunnel that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Host and port by which visitors come.
    pub public: String,
    /// What it travels in.
    pub carrier: Carrier,
    /// The key that the relay has proven, to be pinned.
    pub relay_key: PublicKey,
}

/// Why a tunnel was given up.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Its key is another one than expected.
    #[error(
        "the relay did not prove the expected key; if it was set up anew, ask its admin for the new key and put it \
         behind the address: HOST:PORT#KEY"
    )]
    NotTheRelay,
    /// It does not know the token that it was shown.
    #[error(
        "the relay does not know the token: it wants none, or somebody stands in between; leave --token out, or give \
         the relay's key: HOST:PORT#KEY"
    )]
    NoProof,
    /// The relay does not want it.
    #[error("the relay refuses the tunnel: {}", sentence(.0))]
    Refused(TunnelRefusal),
    /// A newer run has taken its place.
    #[error("another client has taken this tunnel's place")]
    Replaced,
}

/// Why an attempt failed.
#[derive(Debug, Error)]
enum AttemptError {
    #[error("no connection: {0}")]
    Connect(io::Error),
    #[error("no answer in time")]
    Silent,
    #[error(transparent)]
    Greeting(#[from] GreetingError),
    #[error("the relay did not prove the expected key")]
    NotTheRelay,
    #[error("the relay does not know the token")]
    NoProof,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the relay refuses the tunnel: {}", sentence(.0))]
    Refused(TunnelRefusal),
}

/// Keeps a tunnel open until `stop`, then lets its visitors finish.
///
/// Events that nobody takes are waited for.
///
/// # Errors
/// What trying again would not mend.
pub async fn run(
    mut config: ClientConfig,
    events: mpsc::Sender<ClientEvent>,
    stop: CancellationToken,
) -> Result<(), ClientError> {
    let run = TunnelSecret(rand::rng().random());
    let mut backoff = Backoff::default();
    let mut stood = false;
    loop {
        let started = Instant::now();
        let opened = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            opened = Session::open(&config, run) => opened,
        };
        let problem = match opened {
            Ok(session) => {
                stood = true;
                let standing = session.standing(&config.host);
                // Trust on first use: from now on it has to be this one.
                config.key = Some(standing.relay_key);
                // Nobody listens any more: then nobody has to know.
                let _ = events.send(ClientEvent::Opened(standing)).await;
                match session.serve(&stop).await {
                    Ended::Stopped => return Ok(()),
                    Ended::Replaced => return Err(ClientError::Replaced),
                    Ended::Lost(problem) => problem,
                }
            }
            Err(AttemptError::Refused(refusal)) if is_final(&refusal, stood) => {
                return Err(ClientError::Refused(refusal));
            }
            Err(AttemptError::NotTheRelay) if !stood => return Err(ClientError::NotTheRelay),
            Err(AttemptError::NoProof) if !stood => return Err(ClientError::NoProof),
            Err(error) => error.to_string(),
        };
        if started.elapsed() >= GOOD_SESSION {
            backoff = Backoff::default();
        }
        let _ = events.send(ClientEvent::Down(problem)).await;
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = sleep(backoff.next(rand::rng().random())) => {}
        }
    }
}

/// Whether there is no sense in asking again.
fn is_final(refusal: &TunnelRefusal, stood: bool) -> bool {
    match refusal {
        TunnelRefusal::WrongVersion(_)
        | TunnelRefusal::WrongToken
        | TunnelRefusal::BadName
        | TunnelRefusal::NameNotAllowed
        | TunnelRefusal::PortNotAllowed
        | TunnelRefusal::BadNetwork
        | TunnelRefusal::Unsupported => true,
        // Who had it before may get it back.
        TunnelRefusal::Taken => !stood,
        TunnelRefusal::TooMany | TunnelRefusal::Draining => false,
    }
}

fn sentence(refusal: &TunnelRefusal) -> String {
    match refusal {
        TunnelRefusal::WrongVersion(version) => {
            format!("it speaks version {version} of the protocol; update the older of the two")
        }
        TunnelRefusal::WrongToken => "it wants its token; give it with --token".to_owned(),
        TunnelRefusal::Taken => "somebody else has this name or port; choose another".to_owned(),
        TunnelRefusal::BadName => "that is no host name".to_owned(),
        TunnelRefusal::NameNotAllowed => {
            "it does not give out this name; ask for one under its domain, or for none".to_owned()
        }
        TunnelRefusal::PortNotAllowed => "it does not give out this port".to_owned(),
        TunnelRefusal::BadNetwork => "the list of networks has an entry that is none".to_owned(),
        TunnelRefusal::TooMany => "there are too many tunnels".to_owned(),
        TunnelRefusal::Draining => "it is about to stop".to_owned(),
        TunnelRefusal::Unsupported => "it does not do that".to_owned(),
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "***");
        f.debug_struct("ClientConfig")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("carrier", &self.carrier)
            .field("token", &token)
            .field("place", &self.place)
            .field("targets", &self.targets)
            .finish_non_exhaustive()
    }
}
