//! From nothing to a session: through the relay or straight to an address, then the handshake.

use std::time::Duration;

use tagio_session::{
    SafetyPhrase,
    handshake::{Credential, HandshakeError, Verified, ViewerHandshake, ViewerIntent, ViewerStep},
};
use tagio_transport::{
    ConnectError, Connection, LegConnectError, RecvStream, RelayLeg, SendStream, StreamError,
    lan::{self, LanKey},
    relay::{RelayEvent, RelayRoute},
};
use tagio_wire::{
    PeerId, PublicKey,
    leg::LegGrant,
    session::{AuthRefusal, CONTROL_FRAME_BYTES_MAX, CONTROL_PRIORITY, HostMessage, Terms},
};
use tokio::{net::lookup_host, time::timeout};

use super::Viewer;
use crate::{
    config::{HostPort, KnownPeers, Target},
    engine::{
        ControlError, next_relay_event, read_message, sentences,
        status::{ConnectStep, Ending, ViewerPhase},
    },
};

/// How long the relay may take to answer a call.
const CALL_DEADLINE: Duration = Duration::from_secs(8);
/// How long a host may take to answer QUIC's first packet.
const CONNECT_DEADLINE: Duration = Duration::from_secs(8);
/// How long a host may take for a step of the handshake. Its user's answer has no limit here: the host
/// has one.
const ANSWER_DEADLINE: Duration = Duration::from_secs(15);

/// Why there is no session.
#[derive(Debug)]
pub(super) enum Failure {
    /// The host said no.
    Refused(AuthRefusal),
    /// Anything else, ready to be shown.
    Ending(Ending),
}

impl From<Ending> for Failure {
    fn from(ending: Ending) -> Self {
        Self::Ending(ending)
    }
}

impl From<StreamError> for Failure {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Lost(lost) => sentences::lost(&lost).into(),
            StreamError::EndedEarly | StreamError::TooLong(_) => no_host().into(),
        }
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Stream(error) => error.into(),
            ControlError::Message(_) => no_host().into(),
        }
    }
}

impl From<HandshakeError> for Failure {
    fn from(error: HandshakeError) -> Self {
        if error.is_suspicious() {
            return sentences::key_changed().into();
        }
        no_host().into()
    }
}

fn no_host() -> Ending {
    sentences::unreachable(&ConnectError::Refused("it answers something else".to_owned()))
}

/// A host that let this viewer in.
pub(super) struct Reached {
    pub(super) connection: Connection,
    /// Keeps the relay's path alive.
    pub(super) leg: Option<RelayLeg>,
    pub(super) host_key: PublicKey,
    pub(super) phrase: SafetyPhrase,
    pub(super) terms: Terms,
}

/// What came of a search of the local network.
enum Nearby {
    Found(Connection),
    RelayIsBack,
    Nobody,
}

/// A call that the relay put through.
pub(super) struct Ringing {
    pub(super) target_key: PublicKey,
    pub(super) leg: LegGrant,
    pub(super) relay: RelayRoute,
}

impl Viewer {
    /// Connects and is let in, or not.
    pub(super) async fn reach(&mut self, credential: Credential) -> Result<Reached, Failure> {
        KnownPeers::check(&self.config.data_dir).map_err(|error| sentences::no_pins(&error))?;
        let pinned = KnownPeers::load(&self.config.data_dir).0.pin_of(&self.config.target);
        let (connection, leg, host_key) = match self.config.target.clone() {
            Target::Id(id) => loop {
                let failure = match self.reach_by_relay(id, pinned).await {
                    Ok((connection, leg, key)) => break (connection, Some(leg), Some(key)),
                    Err(failure) => failure,
                };
                match self.reach_by_lan(id, pinned, &failure).await {
                    Nearby::Found(connection) => break (connection, None, pinned),
                    Nearby::RelayIsBack => {}
                    Nearby::Nobody => return Err(failure),
                }
            },
            Target::Address(at) => (self.reach_address(&at).await?, None, pinned),
        };
        tracing::debug!("QUIC connected");
        self.progress(ConnectStep::Proving);
        let (mut send, mut recv) = connection.open_bi().await.map_err(|lost| sentences::lost(&lost))?;
        send.set_priority(CONTROL_PRIORITY);
        let verified = self.prove(&connection, &mut send, &mut recv, host_key, credential).await?;
        tracing::debug!("secret proven");
        let terms = self.verdict(&mut recv).await?;
        tracing::debug!("let in");
        let Verified { host_key, phrase, .. } = verified;
        Ok(Reached { connection, leg, host_key, phrase, terms })
    }

    async fn reach_by_relay(
        &mut self,
        id: PeerId,
        pinned: Option<PublicKey>,
    ) -> Result<(Connection, RelayLeg, PublicKey), Failure> {
        let ringing = self.call(id).await.inspect_err(|_| self.end_call())?;
        tracing::debug!("the call went through");
        if pinned.is_some_and(|pinned| pinned != ringing.target_key) {
            return Err(sentences::key_changed().into());
        }
        self.progress(ConnectStep::Calling);
        let connecting = timeout(CONNECT_DEADLINE, self.endpoint.connect_by_leg(&ringing.relay, ringing.leg));
        match connecting.await.unwrap_or(Err(ConnectError::TimedOut.into())) {
            Ok((leg, connection)) => Ok((connection, leg, ringing.target_key)),
            Err(error) => {
                self.end_call();
                Err(match error {
                    LegConnectError::Leg(error) => sentences::no_leg(&error),
                    LegConnectError::Connect(error) => sentences::unreachable(&error),
                }
                .into())
            }
        }
    }

    /// Looks for the host on the local network, where the relay is what failed, until the relay is back.
    async fn reach_by_lan(&mut self, id: PeerId, pinned: Option<PublicKey>, failure: &Failure) -> Nearby {
        let is_wanted = self.config.lan
            && matches!(failure, Failure::Ending(ending) if sentences::is_about_the_relay(ending));
        if !is_wanted {
            return Nearby::Nobody;
        }
        let found = tokio::select! {
            found = async { lan::search(LanKey::of(pinned, id).await).await } => found,
            () = self.relay_is_back() => return Nearby::RelayIsBack,
        };
        let Some(at) = found else { return Nearby::Nobody };
        tracing::info!(%at, "found on the local network");
        let connected = timeout(CONNECT_DEADLINE, self.endpoint.connect(at)).await;
        connected.ok().and_then(Result::ok).map_or(Nearby::Nobody, Nearby::Found)
    }

    /// Gives the leg of a call back that came to nothing.
    fn end_call(&self) {
        if let Some(relay) = &self.relay {
            relay.end_call(self.calls);
        }
    }

    async fn reach_address(&self, at: &HostPort) -> Result<Connection, Failure> {
        let unknown = || {
            sentences::ending(
                "unknown-name",
                format!("The name {} is not known.", at.host),
                "Check the address and the network.",
            )
        };
        let found = lookup_host((at.host.as_str(), at.port)).await.map_err(|_| unknown())?;
        let mut problem = unknown();
        for addr in found {
            match timeout(CONNECT_DEADLINE, self.endpoint.connect(addr)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => problem = sentences::unreachable(&error),
                Err(_) => problem = sentences::unreachable(&ConnectError::TimedOut),
            }
        }
        Err(problem.into())
    }

    /// The handshake up to the last frame that this side owes.
    async fn prove(
        &self,
        connection: &Connection,
        send: &mut SendStream,
        recv: &mut RecvStream,
        host_key: Option<PublicKey>,
        credential: Credential,
    ) -> Result<Verified, Failure> {
        let intent = ViewerIntent {
            identity: &self.config.identity,
            host_key,
            exporter: connection.exporter(),
            name: &self.config.name,
            wants: self.config.wants,
            credential,
        };
        let (mut handshake, frame) = ViewerHandshake::start(intent)?;
        send.write_frame(&frame).await?;
        loop {
            let answer = timeout(ANSWER_DEADLINE, recv.read_frame(CONTROL_FRAME_BYTES_MAX)).await;
            let frame = answer
                .map_err(|_| sentences::unreachable(&ConnectError::TimedOut))
                .map_err(Failure::from)??;
            // The proof stretches the secret, which takes the processor tens of milliseconds.
            let step = tokio::task::spawn_blocking(move || handshake.handle_frame(&frame)).await;
            match step.map_err(|_| no_host())?? {
                ViewerStep::Continue { frame, next } => {
                    send.write_frame(&frame).await?;
                    handshake = next;
                }
                ViewerStep::Finished(verified) => {
                    if let Some(frame) = &verified.frame {
                        send.write_frame(frame).await?;
                    }
                    return Ok(verified);
                }
                ViewerStep::Refused(refusal) => return Err(Failure::Refused(refusal)),
                ViewerStep::WrongSecret { frame } => {
                    send.write_frame(&frame).await?;
                    send.finish_soon().await;
                    connection.close();
                    return Err(Failure::Refused(AuthRefusal::WrongSecret));
                }
            }
        }
    }

    async fn verdict(&mut self, recv: &mut RecvStream) -> Result<Terms, Failure> {
        loop {
            match read_message(recv).await? {
                HostMessage::Asking => self.enter(ViewerPhase::Asking),
                HostMessage::Accepted(terms) => return Ok(terms),
                HostMessage::Refused(refusal) => return Err(Failure::Refused(refusal)),
                HostMessage::Ended(reason) => return Err(sentences::ended(reason).into()),
                HostMessage::Candidates(_) | HostMessage::Permission(_) | HostMessage::Monitors(_) => {}
            }
        }
    }
}

impl Viewer {
    /// Waits until the relay knows this viewer anew; for ever without a relay. Cancel safe.
    pub(super) async fn relay_is_back(&mut self) {
        loop {
            match next_relay_event(&mut self.relay).await {
                Some(RelayEvent::Online { .. }) => break self.registered = true,
                Some(RelayEvent::Offline { .. }) => self.registered = false,
                Some(_) => {}
                None => self.relay = None,
            }
        }
    }

    /// Takes note of what the relay said while nobody listened.
    fn catch_up(&mut self) {
        let Some(relay) = &mut self.relay else { return };
        while let Some(event) = relay.try_event() {
            match event {
                RelayEvent::Found(addr) => self.endpoint.learn_nat(addr),
                RelayEvent::Online { .. } => self.registered = true,
                RelayEvent::Offline { .. } => self.registered = false,
                // Answers to calls that were given up, and calls to a viewer, which takes none.
                RelayEvent::Incoming { .. }
                | RelayEvent::Ringing { .. }
                | RelayEvent::CallFailed { .. }
                | RelayEvent::Status { .. } => {}
            }
        }
    }

    /// Calls `id` and waits until the relay put it through. Where this viewer is not registered yet the call goes out
    /// with the first words to the relay.
    async fn call(&mut self, id: PeerId) -> Result<Ringing, Failure> {
        self.catch_up();
        self.calls += 1;
        let call = self.calls;
        let relay = self.relay.as_mut().ok_or_else(sentences::no_relay_at_all)?;
        relay.call(call, id);
        let answered = timeout(CALL_DEADLINE, async {
            loop {
                match relay.event().await {
                    Some(RelayEvent::Found(addr)) => self.endpoint.learn_nat(addr),
                    Some(RelayEvent::Online { relay_key, .. }) => {
                        self.registered = true;
                        self.config.relay.pin(relay_key);
                    }
                    Some(RelayEvent::Ringing { call: answered, target_key, leg, relay })
                        if answered == call =>
                    {
                        return Ok(Ringing { target_key, leg, relay });
                    }
                    Some(RelayEvent::CallFailed { call: answered, reason }) if answered == call => {
                        return Err(sentences::call_failed(reason).into());
                    }
                    Some(RelayEvent::Offline { error, .. }) => {
                        self.registered = false;
                        return Err(sentences::no_relay(&error).into());
                    }
                    // Answers to calls that were given up, and calls to a viewer, which takes none.
                    Some(_) => {}
                    None => return Err(sentences::no_relay_at_all().into()),
                }
            }
        });
        answered.await.unwrap_or_else(|_| Err(sentences::no_answer().into()))
    }
}
