//! The host's door: a stranger proves itself, the host's user may be asked, and a visit begins.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tagio_session::{
    IdentityKey,
    guard::RotateCode,
    handshake::{Admission, HostHandshake, HostStep, ResumeRequest, SecretRequest},
    ports::{PortAccess, PortPolicy},
};
use tagio_transport::{Connection, Endpoint, Incoming, RecvStream, SendStream};
use tagio_wire::{
    PublicKey, encode,
    session::{
        AuthFinish, AuthRefusal, CONTROL_FRAME_BYTES_MAX, CONTROL_PRIORITY, HostMessage, Permission,
        SecretKind, ViewerMessage,
    },
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::timeout,
};

use super::{Note, gate::Gate, visit::Visit};
use crate::{
    engine::{
        read_message, send_message,
        status::{AskingViewer, ViewerId},
    },
    host::{
        hands::Hands,
        picture::{Picture, ScreenLayout, ScreenState},
    },
};

/// How long a stranger may take from the knock to the proof. Long enough for a slow link and a slow
/// processor's key stretching.
const PROOF_DEADLINE: Duration = Duration::from_secs(15);
/// How long the host's user has to answer.
pub(super) const ASK_DEADLINE: Duration = Duration::from_secs(60);
/// How long a visitor waits for the screen to be opened.
const SCREEN_DEADLINE: Duration = Duration::from_secs(3);

/// What a visit needs of its host.
#[derive(Clone)]
pub(super) struct House {
    pub(super) endpoint: Endpoint,
    pub(super) identity: IdentityKey,
    pub(super) name: String,
    pub(super) gate: Gate,
    pub(super) picture: Picture,
    pub(super) hands: Hands,
    pub(super) notes: mpsc::Sender<Note>,
    /// Whether the host's user is asked about a viewer that showed the one-time code.
    pub(super) ask: bool,
    /// What a viewer is allowed without asking.
    pub(super) permission: Permission,
    /// The most that a viewer is allowed, whoever is asked.
    pub(super) permission_max: Permission,
    /// Which ports viewers may use.
    pub(super) ports: PortPolicy,
    /// Where the relay sees this host.
    pub(super) observed: Option<SocketAddr>,
    /// Places for viewers.
    pub(super) places: Arc<Semaphore>,
}

/// Who is in, and how it got in.
pub(super) struct Entry {
    pub(super) admission: Admission,
    /// `None`: it resumed, with this permission.
    kind: Option<SecretKind>,
    permission: Permission,
    /// What it was allowed of ports before its connection was lost.
    ports: PortAccess,
}

impl Entry {
    /// What the viewer asks for.
    pub(super) fn wanted(&self) -> Permission {
        self.admission.visitor.wants
    }
}

/// Receives one viewer, until it leaves or is sent away.
pub(super) async fn receive(house: House, viewer: ViewerId, incoming: Incoming) {
    let from = incoming.from();
    let entered = timeout(PROOF_DEADLINE, enter(&house, incoming)).await;
    let (connection, mut control, entry) = match entered {
        Ok(Ok(Some(entered))) => entered,
        Ok(Ok(None)) => return,
        Ok(Err(error)) => {
            tracing::debug!(%error, %from, "visitor turned away");
            return;
        }
        Err(_) => {
            tracing::debug!(%from, "visitor took too long");
            return;
        }
    };
    let key = entry.admission.visitor.key;
    let over = match admit(&house, viewer, &connection, &mut control.send, &entry).await {
        Ok(Admitted { permission, ports, layout, _place }) => {
            let visit = Visit::new(&house, viewer, &connection, &entry, permission, ports, layout);
            visit.run(control).await
        }
        Err(refusal) => {
            send_message(&mut control.send, &HostMessage::Refused(refusal)).await.ok();
            control.send.finish_soon().await;
            return connection.close();
        }
    };
    tracing::info!(?over, fingerprint = %key.fingerprint(), "session over");
    connection.close();
}

/// The control stream.
pub(super) struct Control {
    pub(super) send: SendStream,
    pub(super) recv: RecvStream,
}

impl Control {
    async fn open(connection: &Connection) -> anyhow::Result<Self> {
        let (send, recv) = connection.accept_bi().await?;
        send.set_priority(CONTROL_PRIORITY);
        Ok(Self { send, recv })
    }

    async fn read_frame(&mut self) -> anyhow::Result<Vec<u8>> {
        Ok(self.recv.read_frame(CONTROL_FRAME_BYTES_MAX).await?)
    }
}

/// The handshake. `None`: it was refused, and told so.
async fn enter(house: &House, incoming: Incoming) -> anyhow::Result<Option<(Connection, Control, Entry)>> {
    let connection = incoming.accept().await?;
    let mut control = Control::open(&connection).await?;
    let mut handshake = HostHandshake::new(&house.identity, connection.exporter());
    let refusal = loop {
        let frame = control.read_frame().await?;
        let step = handshake.handle_frame(&frame).inspect_err(|error| {
            if error.is_suspicious() {
                connection.close_as_wrong_peer();
            }
        });
        match step? {
            HostStep::Continue { frame, next } => {
                control.send.write_frame(&frame).await?;
                handshake = next;
            }
            HostStep::Refuse { frame, .. } => break frame,
            HostStep::Resume(request) => match resume(house, &mut control, request).await? {
                Ok(entry) => return Ok(Some((connection, control, entry))),
                Err(refusal) => break refusal,
            },
            HostStep::Secret(request) => match prove(house, &mut control, request).await? {
                Ok(entry) => return Ok(Some((connection, control, entry))),
                Err(refusal) => break refusal,
            },
        }
    };
    control.send.write_frame(&refusal).await?;
    control.send.finish_soon().await;
    connection.close();
    Ok(None)
}

/// Takes a ticket of a session that was lost. The inner error is the frame that says no.
async fn resume(
    house: &House,
    control: &mut Control,
    request: ResumeRequest,
) -> anyhow::Result<Result<Entry, Vec<u8>>> {
    let key = request.visitor().key;
    let redeemed = house.gate.lock().tickets.redeem(&key, request.token(), Instant::now());
    let redeemed = match redeemed {
        Ok(redeemed) => redeemed,
        Err(refusal) => return Ok(Err(request.refuse(refusal)?)),
    };
    house.notes.send(Note::Resumed(redeemed.id)).await.ok();
    let resumed = request.resumed()?;
    control.send.write_frame(&resumed.frame).await?;
    Ok(Ok(Entry {
        admission: resumed.admission,
        kind: None,
        permission: redeemed.permission,
        ports: redeemed.ports,
    }))
}

/// Challenges the viewer to prove its secret. The inner error is the frame that says no.
async fn prove(
    house: &House,
    control: &mut Control,
    request: SecretRequest,
) -> anyhow::Result<Result<Entry, Vec<u8>>> {
    let (key, kind) = (request.visitor().key, request.kind());
    let begun = house.gate.lock().begin(key, kind, Instant::now());
    let (attempt, stored) = match begun {
        Ok(begun) => begun,
        Err((refusal, rotate)) => {
            house.rotate(rotate).await;
            return Ok(Err(request.refuse(refusal)?));
        }
    };
    let (challenged, frame) = request.challenge(&stored)?;
    control.send.write_frame(&frame).await?;
    let finish = match read_message(&mut control.recv).await {
        Ok(ViewerMessage::Auth(finish)) => finish,
        // It went away with what it learned: a try like any other.
        _ => AuthFinish::WrongSecret,
    };
    let Ok(admission) = challenged.handle_finish(&finish) else {
        let rotate = house.gate.lock().fail(attempt);
        house.rotate(rotate).await;
        return Ok(Err(encode(&HostMessage::Refused(AuthRefusal::WrongSecret))));
    };
    let succeeded = house.gate.lock().succeed(attempt);
    let Ok(rotate) = succeeded else {
        return Ok(Err(encode(&HostMessage::Refused(AuthRefusal::WrongSecret))));
    };
    house.rotate(rotate).await;
    let ports = PortAccess::Nothing;
    Ok(Ok(Entry { admission, kind: Some(kind), permission: house.permission, ports }))
}

impl House {
    async fn rotate(&self, rotate: Option<RotateCode>) {
        if let Some(RotateCode) = rotate {
            self.notes.send(Note::CodeSpent).await.ok();
        }
    }

    /// Puts a question to the user; `None` is no, or silence.
    pub(super) async fn ask(&self, asking: AskingViewer, key: PublicKey) -> Option<Permission> {
        let viewer = asking.viewer;
        let (answer_tx, answer) = oneshot::channel();
        self.notes.send(Note::Asking { asking, key, answer: answer_tx }).await.ok()?;
        let answered = timeout(ASK_DEADLINE, answer).await.ok().and_then(Result::ok).flatten();
        self.notes.send(Note::Asked(viewer)).await.ok();
        answered
    }
}

struct Admitted {
    permission: Permission,
    /// What is allowed of ports without another question.
    ports: PortAccess,
    layout: ScreenLayout,
    /// Kept for as long as the visit lasts.
    _place: OwnedSemaphorePermit,
}

/// Asks the host's user where that is wanted, and waits for the screen.
async fn admit(
    house: &House,
    viewer: ViewerId,
    connection: &Connection,
    send: &mut SendStream,
    entry: &Entry,
) -> Result<Admitted, AuthRefusal> {
    let wants_ports = entry.wanted() == Permission::Ports;
    if wants_ports && house.ports == PortPolicy::Off {
        return Err(AuthRefusal::NoPorts);
    }
    let place = Arc::clone(&house.places).try_acquire_owned().map_err(|_| AuthRefusal::Full)?;
    let mut ports = entry.ports;
    let allowed = if house.ask && entry.kind == Some(SecretKind::Code) {
        send_message(send, &HostMessage::Asking).await.map_err(|_| AuthRefusal::Declined)?;
        let allowed = tokio::select! {
            answer = ask(house, viewer, entry) => answer.ok_or(AuthRefusal::Declined)?,
            _ = connection.closed() => {
                house.notes.send(Note::Asked(viewer)).await.ok();
                return Err(AuthRefusal::Declined);
            }
        };
        if wants_ports {
            ports = ports.max(PortAccess::Own);
        }
        allowed
    } else {
        entry.permission
    };
    let mut permission = allowed.min(entry.wanted()).min(house.permission_max);
    if permission == Permission::Control && !house.hands.open().await {
        permission = Permission::View;
    }
    if wants_ports {
        // A screen that nobody looks at need not be there.
        return Ok(Admitted { permission, ports, layout: ScreenLayout::default(), _place: place });
    }
    let mut screen = house.picture.screen();
    let opened = timeout(SCREEN_DEADLINE, screen.wait_for(|state| *state != ScreenState::Opening)).await;
    match opened.ok().and_then(Result::ok).map(|state| state.clone()) {
        Some(ScreenState::Ready(layout)) => Ok(Admitted { permission, ports, layout, _place: place }),
        _ => Err(AuthRefusal::NoScreen),
    }
}

/// The user's answer; `None` is no, or silence.
async fn ask(house: &House, viewer: ViewerId, entry: &Entry) -> Option<Permission> {
    let visitor = &entry.admission.visitor;
    let asking = AskingViewer {
        viewer,
        name: visitor.name.clone(),
        fingerprint: visitor.key.fingerprint(),
        phrase: entry.admission.phrase.to_string(),
        wants: visitor.wants,
        port: None,
        known: false,
        until: Instant::now() + ASK_DEADLINE,
    };
    house.ask(asking, visitor.key).await
}
