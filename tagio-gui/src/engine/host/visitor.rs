//! One viewer's visit to this host, from its knock to the release of the last key that it held.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tagio_media::codec::EncodedUpdate;
use tagio_session::{
    SafetyPhrase,
    guard::RotateCode,
    handshake::{Admission, HostHandshake, HostStep, SecretRequest},
    input::HostInput,
    resume::Issued,
};
use tagio_transport::{
    Connection, Endpoint, Incoming, Paths, PathsEvent, RecvStream, SendStream, Side,
};
use tagio_wire::{
    PublicKey, Size, decode, encode,
    input::{InputEvent, PointerMove},
    picture::CursorUpdate,
    session::{
        AuthFinish, AuthRefusal, CONTROL_FRAME_BYTES_MAX, CONTROL_PRIORITY, EndReason, HostMessage, Permission,
        SecretKind, StreamKind, Terms, ViewerMessage,
    },
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{Note, gate::Gate};
use crate::{
    engine::{
        read_message, send_message,
        status::{AskingViewer, ConnectedViewer, PathKind, ViewerId},
    },
    host::{
        hands::Hands,
        picture::{Audience, CURSORS_QUEUE, PathNews, Picture, ScreenState, UPDATES_QUEUE},
    },
};

/// How long a stranger may take from the knock to the proof. Long enough for a slow link and a slow
/// processor's key stretching.
const PROOF_DEADLINE: Duration = Duration::from_secs(15);
/// How long the host's user has to answer.
const ASK_DEADLINE: Duration = Duration::from_secs(60);
/// How long a visitor waits for the screen to be opened.
const SCREEN_DEADLINE: Duration = Duration::from_secs(3);
/// How long a session outlives its host's screen, as while a display is switched.
const SCREEN_AWAY: Duration = Duration::from_secs(10);
/// Messages and input events that were read and wait for the visit's loop, which does nothing slow.
const READ_QUEUE: usize = 64;
/// How long after a viewer's own move the pointer's reports are its echoes.
const ECHO: Duration = Duration::from_millis(300);
/// How often the pacer hears the round trip of the path.
const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// Orders of the host's user.
pub(super) const ORDERS_QUEUE: usize = 8;

/// What the host's user wants of a connected viewer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Permit(Permission),
    End(EndReason),
    /// The viewer is back over a new connection; this one is a ghost.
    Vanish,
}

/// How a visit came to its end.
#[derive(Clone, Copy, Debug)]
enum Over {
    /// By this host.
    Ended(EndReason),
    /// By the viewer.
    Left,
    /// The connection is lost; the viewer may come back.
    Lost,
}

/// What a visit needs of its host.
#[derive(Clone)]
pub(super) struct House {
    pub(super) endpoint: Endpoint,
    pub(super) identity: tagio_session::IdentityKey,
    pub(super) name: String,
    pub(super) gate: Gate,
    pub(super) picture: Picture,
    pub(super) hands: Hands,
    pub(super) notes: mpsc::Sender<Note>,
    /// Whether the host's user is asked about a viewer that showed the one-time code.
    pub(super) ask: bool,
    /// The most that a viewer is allowed without asking.
    pub(super) permission: Permission,
    pub(super) observed: Option<std::net::SocketAddr>,
    /// Places for viewers.
    pub(super) places: Arc<Semaphore>,
}

/// Who is in, and how it got in.
struct Entry {
    admission: Admission,
    /// `None`: it resumed, with this permission.
    kind: Option<SecretKind>,
    permission: Permission,
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
    let over = match admit(&house, viewer, &mut control.send, &entry).await {
        Ok(Admitted { permission, screen, _place }) => {
            let visit = Visit::new(&house, viewer, &connection, &entry, permission, screen);
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
struct Control {
    send: SendStream,
    recv: RecvStream,
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
async fn enter(
    house: &House,
    incoming: Incoming,
) -> anyhow::Result<Option<(Connection, Control, Entry)>> {
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
            HostStep::Resume(request) => {
                let key = request.visitor().key;
                let redeemed = house.gate.lock().tickets.redeem(&key, request.token(), Instant::now());
                let redeemed = match redeemed {
                    Ok(redeemed) => redeemed,
                    Err(refusal) => break request.refuse(refusal)?,
                };
                house.notes.send(Note::Resumed(redeemed.id)).await.ok();
                let resumed = request.resumed()?;
                control.send.write_frame(&resumed.frame).await?;
                let permission = redeemed.permission;
                let entry = Entry { admission: resumed.admission, kind: None, permission };
                return Ok(Some((connection, control, entry)));
            }
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
    Ok(Ok(Entry { admission, kind: Some(kind), permission: house.permission }))
}

impl House {
    async fn rotate(&self, rotate: Option<RotateCode>) {
        if let Some(RotateCode) = rotate {
            self.notes.send(Note::CodeSpent).await.ok();
        }
    }
}

struct Admitted {
    permission: Permission,
    screen: Size,
    /// Kept for as long as the visit lasts.
    _place: OwnedSemaphorePermit,
}

/// Asks the host's user where that is wanted, and waits for the screen.
async fn admit(
    house: &House,
    viewer: ViewerId,
    send: &mut SendStream,
    entry: &Entry,
) -> Result<Admitted, AuthRefusal> {
    let place = Arc::clone(&house.places).try_acquire_owned().map_err(|_| AuthRefusal::Full)?;
    let visitor = &entry.admission.visitor;
    let most = if visitor.view_only { Permission::View } else { entry.permission };
    let permission = if house.ask && entry.kind == Some(SecretKind::Code) {
        send_message(send, &HostMessage::Asking).await.map_err(|_| AuthRefusal::Declined)?;
        // Nobody gets more by being asked about than was wanted or is allowed at all.
        ask(house, viewer, entry).await.ok_or(AuthRefusal::Declined)?.min(most)
    } else {
        most
    };
    let mut screen = house.picture.screen();
    let opened = timeout(SCREEN_DEADLINE, screen.wait_for(|state| *state != ScreenState::Opening)).await;
    match opened.ok().and_then(Result::ok).map(|state| state.clone()) {
        Some(ScreenState::Ready(screen)) => Ok(Admitted { permission, screen, _place: place }),
        _ => Err(AuthRefusal::NoScreen),
    }
}

/// The user's answer; `None` is no, or silence.
async fn ask(house: &House, viewer: ViewerId, entry: &Entry) -> Option<Permission> {
    let visitor = &entry.admission.visitor;
    let (answer_tx, answer) = oneshot::channel();
    let asking = AskingViewer {
        viewer,
        name: visitor.name.clone(),
        fingerprint: visitor.key.fingerprint(),
        phrase: entry.admission.phrase.to_string(),
        view_only: visitor.view_only,
        known: false,
        until: Instant::now() + ASK_DEADLINE,
    };
    house.notes.send(Note::Asking { asking, key: visitor.key, answer: answer_tx }).await.ok()?;
    let answered = timeout(ASK_DEADLINE, answer).await.ok().and_then(Result::ok).flatten();
    house.notes.send(Note::Asked(viewer)).await.ok();
    answered
}

/// A visit that was admitted.
struct Visit<'a> {
    house: &'a House,
    viewer: ViewerId,
    connection: &'a Connection,
    key: PublicKey,
    name: String,
    phrase: SafetyPhrase,
    permission: Permission,
    screen: Size,
    held: HostInput,
    ticket: Issued,
    last_move: LastMove,
    /// Since when the screen is away.
    away_since: Option<Instant>,
}

/// When a viewer last moved the pointer. While it does, the host's reports of where the pointer is are
/// echoes.
#[derive(Clone)]
struct LastMove(Arc<Mutex<Instant>>);

impl LastMove {
    const LOCK: &str = "no task panics while it holds a time";

    fn long_ago() -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(now.checked_sub(ECHO).unwrap_or(now))))
    }

    fn note(&self) {
        *self.0.lock().expect(Self::LOCK) = Instant::now();
    }

    fn is_recent(&self) -> bool {
        self.0.lock().expect(Self::LOCK).elapsed() < ECHO
    }
}

impl<'a> Visit<'a> {
    fn new(
        house: &'a House,
        viewer: ViewerId,
        connection: &'a Connection,
        entry: &Entry,
        permission: Permission,
        screen: Size,
    ) -> Self {
        let visitor = &entry.admission.visitor;
        let ticket = house.gate.lock().tickets.issue(visitor.key, permission, &mut rand::rng());
        Self {
            house,
            viewer,
            connection,
            key: visitor.key,
            name: visitor.name.clone(),
            phrase: entry.admission.phrase,
            permission,
            screen,
            held: HostInput::new(permission, screen),
            ticket,
            last_move: LastMove::long_ago(),
            away_since: None,
        }
    }

    async fn run(mut self, control: Control) -> Over {
        let Control { mut send, recv } = control;
        let terms = Terms {
            permission: self.permission,
            host_name: self.house.name.clone(),
            screen: self.screen,
            resume: self.ticket.token,
        };
        if send_message(&mut send, &HostMessage::Accepted(terms)).await.is_err() {
            return Over::Lost;
        }
        let mut streams = JoinSet::new();
        self.open_streams(&mut streams);
        let (orders_tx, orders) = mpsc::channel(ORDERS_QUEUE);
        let paths =
            Paths::spawn(self.connection, &self.house.endpoint, Side::Host, self.house.observed);
        self.announce(orders_tx, paths.facts().kind).await;
        let over = self.attend(&mut send, recv, &mut streams, orders, paths).await;
        self.house.picture.leave(self.viewer);
        self.release_all();
        {
            let tickets = &mut self.house.gate.lock().tickets;
            match over {
                Over::Ended(_) | Over::Left => tickets.revoke(self.ticket.id),
                Over::Lost => tickets.session_lost(self.ticket.id, Instant::now()),
            }
        }
        if let Over::Ended(reason) = over {
            send_message(&mut send, &HostMessage::Ended(reason)).await.ok();
            send.finish_soon().await;
        }
        self.house.notes.send(Note::Left(self.viewer)).await.ok();
        over
    }

    async fn announce(&self, orders: mpsc::Sender<Order>, path: PathKind) {
        let viewer = ConnectedViewer {
            viewer: self.viewer,
            name: self.name.clone(),
            fingerprint: self.key.fingerprint(),
            phrase: self.phrase.to_string(),
            permission: self.permission,
            path,
            since: Instant::now(),
        };
        self.house.notes.send(Note::Joined { viewer, key: self.key, ticket: self.ticket.id, orders }).await.ok();
    }

    /// Starts what sends to the viewer.
    fn open_streams(&self, streams: &mut JoinSet<()>) {
        let (updates_tx, updates) = mpsc::channel(UPDATES_QUEUE);
        let (cursors_tx, cursors) = mpsc::channel(CURSORS_QUEUE);
        streams.spawn(send_picture(self.connection.clone(), updates));
        streams.spawn(send_cursor(self.connection.clone(), cursors, self.last_move.clone()));
        let audience = Audience { updates: updates_tx, cursors: cursors_tx, rtt: self.connection.rtt() };
        self.house.picture.join(self.viewer, audience);
    }

    /// The visit's loop.
    async fn attend(
        &mut self,
        send: &mut SendStream,
        recv: RecvStream,
        streams: &mut JoinSet<()>,
        mut orders: mpsc::Receiver<Order>,
        mut paths: Paths,
    ) -> Over {
        let (messages_tx, mut messages) = mpsc::channel(READ_QUEUE);
        let (inputs_tx, mut inputs) = mpsc::channel(READ_QUEUE);
        streams.spawn(read_messages(recv, messages_tx));
        streams.spawn(read_inputs(self.connection.clone(), inputs_tx));
        let mut screen = self.house.picture.screen();
        let mut measure = interval(MEASURE_EVERY);
        measure.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let over = tokio::select! {
                biased;
                _ = self.connection.closed() => Err(Over::Lost),
                order = orders.recv() => self.on_order(order, send).await,
                input = inputs.recv() => match input {
                    Some(Ok(event)) => self.on_input(event),
                    Some(Err(())) => Err(Over::Ended(EndReason::Protocol)),
                    None => Err(Over::Lost),
                },
                datagram = self.connection.read_datagram() => match datagram {
                    Ok(bytes) => decode(&bytes).map_or(Ok(()), |pointer| self.on_move(pointer)),
                    Err(_) => Err(Over::Lost),
                },
                message = messages.recv() => match message {
                    Some(Ok(message)) => self.on_message(message, send, &paths).await,
                    Some(Err(())) => Err(Over::Ended(EndReason::Protocol)),
                    None => Err(Over::Lost),
                },
                event = paths.event() => self.on_path(event, paths.facts().rtt).await,
                _ = measure.tick() => self.measure(paths.facts().rtt),
                Ok(()) = screen.changed() => {
                    self.on_screen(&screen.borrow_and_update());
                    Ok(())
                }
            };
            if let Err(over) = over {
                return over;
            }
        }
    }

    fn measure(&self, rtt: Duration) -> Result<(), Over> {
        self.house.picture.path(self.viewer, rtt, PathNews::Measured);
        if self.away_since.is_some_and(|since| since.elapsed() > SCREEN_AWAY) {
            return Err(Over::Ended(EndReason::ScreenLost));
        }
        Ok(())
    }

    fn on_screen(&mut self, state: &ScreenState) {
        match state {
            ScreenState::Ready(size) => {
                self.away_since = None;
                self.held.set_screen(*size);
            }
            ScreenState::Opening | ScreenState::Unavailable(_) => {
                self.away_since.get_or_insert_with(Instant::now);
            }
        }
    }

    async fn on_order(&mut self, order: Option<Order>, send: &mut SendStream) -> Result<(), Over> {
        match order {
            Some(Order::Permit(permission)) => {
                self.permit(permission);
                let told = send_message(send, &HostMessage::Permission(permission)).await;
                told.map_err(|_| Over::Lost)
            }
            Some(Order::End(reason)) => Err(Over::Ended(reason)),
            Some(Order::Vanish) => Err(Over::Lost),
            None => Err(Over::Ended(EndReason::HostStops)),
        }
    }

    async fn on_path(&self, event: Option<PathsEvent>, rtt: Duration) -> Result<(), Over> {
        match event {
            Some(PathsEvent::Changed(kind)) => {
                self.house.picture.path(self.viewer, rtt, PathNews::Changed);
                self.house.notes.send(Note::Path(self.viewer, kind)).await.ok();
                Ok(())
            }
            // The viewer's business.
            Some(PathsEvent::SendCandidates(_) | PathsEvent::RelayLost) => Ok(()),
            None => Err(Over::Lost),
        }
    }

    async fn on_message(
        &self,
        message: ViewerMessage,
        send: &mut SendStream,
        paths: &Paths,
    ) -> Result<(), Over> {
        match message {
            ViewerMessage::Ack(number) => self.house.picture.acked(self.viewer, number),
            ViewerMessage::Watching(watching) => self.house.picture.watching(self.viewer, watching),
            ViewerMessage::Candidates(candidates) => {
                paths.punch(candidates);
                let own = HostMessage::Candidates(paths.own_candidates());
                return send_message(send, &own).await.map_err(|_| Over::Lost);
            }
            ViewerMessage::Leave => return Err(Over::Left),
            // A proof when none is due proves nothing.
            ViewerMessage::Auth(_) => {}
        }
        Ok(())
    }

    fn on_move(&mut self, pointer: PointerMove) -> Result<(), Over> {
        self.last_move.note();
        let events = self.held.handle_move(pointer);
        self.inject(events)
    }

    fn on_input(&mut self, event: InputEvent) -> Result<(), Over> {
        if matches!(event, InputEvent::Pointer(_) | InputEvent::Button { .. }) {
            self.last_move.note();
        }
        let events = self.held.handle_event(event);
        self.inject(events)
    }

    /// An error when the system takes no more input: the session ends, and with it every held key.
    fn inject(&self, events: Vec<InputEvent>) -> Result<(), Over> {
        for event in events {
            if let Err(error) = self.house.hands.inject(event) {
                tracing::error!(%error, "input not injected");
                return Err(Over::Ended(EndReason::ScreenLost));
            }
        }
        Ok(())
    }

    fn permit(&mut self, permission: Permission) {
        self.permission = permission;
        self.house.gate.lock().tickets.set_permission(self.ticket.id, permission);
        let released = self.held.set_permission(permission);
        // What cannot be let go is with a screen that is gone.
        self.inject(released).ok();
    }

    fn release_all(&mut self) {
        let released = self.held.release_all();
        self.inject(released).ok();
    }
}

async fn read_messages(mut recv: RecvStream, messages: mpsc::Sender<Result<ViewerMessage, ()>>) {
    loop {
        let message = match read_message(&mut recv).await {
            Ok(message) => Ok(message),
            Err(crate::engine::ControlError::Message(error)) => {
                tracing::warn!(%error, "bad message");
                Err(())
            }
            Err(crate::engine::ControlError::Stream(_)) => return,
        };
        let last = message.is_err();
        if messages.send(message).await.is_err() || last {
            return;
        }
    }
}

/// Reads the viewer's input stream, the one stream that it opens.
async fn read_inputs(connection: Connection, inputs: mpsc::Sender<Result<InputEvent, ()>>) {
    let Ok(mut stream) = connection.accept_uni().await else { return };
    if !matches!(stream.read_u8().await.map(StreamKind::parse), Ok(Some(StreamKind::Input))) {
        inputs.send(Err(())).await.ok();
        return;
    }
    while let Ok(frame) = stream.read_frame(CONTROL_FRAME_BYTES_MAX).await {
        let event = decode(&frame).map_err(|error| tracing::warn!(%error, "bad input event"));
        let last = event.is_err();
        if inputs.send(event).await.is_err() || last {
            return;
        }
    }
    // The stream is over before the connection: the viewer's hands are gone, not its eyes.
    inputs.closed().await;
}

async fn send_picture(connection: Connection, mut updates: mpsc::Receiver<EncodedUpdate>) {
    let Ok(mut stream) = connection.open_uni(StreamKind::Picture.priority()).await else { return };
    if stream.write(&[StreamKind::Picture.byte()]).await.is_err() {
        return;
    }
    while let Some(update) = updates.recv().await {
        let header = encode(&update.header);
        let len = u32::try_from(header.len()).expect("a header has at most BANDS_MAX bands");
        let head = [&len.to_be_bytes()[..], &header].concat();
        if stream.write_owned(head).await.is_err() || stream.write_owned(update.payload).await.is_err() {
            return;
        }
    }
}

async fn send_cursor(connection: Connection, mut cursors: mpsc::Receiver<CursorUpdate>, own: LastMove) {
    let Ok(mut stream) = connection.open_uni(StreamKind::Cursor.priority()).await else { return };
    if stream.write(&[StreamKind::Cursor.byte()]).await.is_err() {
        return;
    }
    while let Some(update) = cursors.recv().await {
        if matches!(update, CursorUpdate::Moved(_)) && own.is_recent() {
            continue;
        }
        let bytes = encode(&update);
        let len = u32::try_from(bytes.len()).expect("a cursor has at most CURSOR_SIDE_MAX rows");
        if stream.write(&[&len.to_be_bytes()[..], &bytes].concat()).await.is_err() {
            return;
        }
    }
}
