//! A session that runs: the picture comes in, the hands' work goes out, paths come and go.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Buf as _, Bytes};
use tagio_session::input::{Outgoing, ViewerInput};
use tagio_transport::{
    Connection, Endpoint, LegError, Lost, PathKind, Paths, PathsEvent, RecvStream, RelayLeg, Side,
    StreamError,
    lane::{Lane, LaneEntrance, LaneReceiver, lane_receiver},
    relay::RelayEvent,
};
use tagio_wire::{
    codec::MESSAGE_BYTES_MAX,
    control::CallFailure,
    decode, encode,
    input::InputEvent,
    limits::{UPDATE_BYTES_MAX, VIDEO_FRAME_BYTES_MAX},
    picture::{CursorUpdate, UpdateHeader, VideoHeader},
    session::{
        CONTROL_FRAME_BYTES_MAX, EndReason, HostMessage, Quality, StreamKind, ViewWish, ViewerMessage,
    },
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep_until},
};

use super::{Outlets, RecordTo, Viewer, ViewerEvent, acks::Acks, figures::FigureBook, reach::Reached};
use crate::{
    config::Target,
    engine::{
        ControlError, next_relay_event, read_messages, say,
        status::{Figures, ViewerCommand, ViewerPhase},
    },
    viewer::{
        canvas::Canvas,
        decode::{self, Arrival, Decoded, Part, Screen},
    },
};

/// Messages that were read and wait for the session's loop, which does nothing slow.
const READ_QUEUE: usize = 64;
/// Longest frame of the picture's lane: a header and its payload.
const PICTURE_FRAME_BYTES_MAX: usize = 4 + MESSAGE_BYTES_MAX + UPDATE_BYTES_MAX;
/// How often the figures of the status line are made anew.
const FIGURES_EVERY: Duration = Duration::from_secs(1);
/// How often the relay is called while no path goes through it: its legs, or the host, come back by then.
const CALL_EVERY: Duration = Duration::from_secs(3);
/// The first pause where the host could not be called; twice as long each, up to that. After a restart of the relay it
/// is back a moment later.
const CALL_SOON: Duration = Duration::from_millis(400);
/// Silence on the path in use, with no other to change to, after which another leg is asked for: the host may have
/// lost its end, as it does with its address where only TCP gets through.
const LEG_SILENCE: Duration = Duration::from_secs(1);
/// Legs that are kept: the one in use, and the one before it, whose last packets may be under way.
const LEGS_KEPT: usize = 2;
/// Silence that makes the session look for a new connection. QUIC's own time-out is longer, and a person
/// who sees a frozen picture for so long wants to know.
const SILENCE_MAX: Duration = Duration::from_secs(4);

/// How a running session came to its end.
pub(super) enum Over {
    /// By this viewer.
    Left,
    /// By the host.
    Ended(EndReason),
    /// The picture's stream is broken.
    Undecodable,
    /// It may come back.
    Lost(Lost),
}

/// A session that is about to run.
pub(super) struct Live {
    connection: Connection,
    send: Lane,
    hands: Lane,
    canvas: Arc<Canvas>,
    input: ViewerInput,
    resume: [u8; 32],
    paths: Paths,
    /// The newest legs of this session.
    legs: Vec<RelayLeg>,
    new_legs: JoinSet<Result<RelayLeg, LegError>>,
    /// No path through the relay stands; since then it is called from time to time.
    relay_lost: bool,
    /// When, if that is still needed then.
    call_at: Option<Instant>,
    /// The next pause after a call that failed.
    call_pause: Duration,
    messages: mpsc::Receiver<Result<HostMessage, ControlError>>,
    decoded: mpsc::Receiver<Decoded>,
    acks: Acks,
    figures: FigureBook,
    exact_share: f32,
    has_video: bool,
    _streams: JoinSet<()>,
}

impl Live {
    pub(super) fn start(reached: Reached, endpoint: &Endpoint, outlets: &Outlets) -> Result<Self, Lost> {
        let Reached { connection, leg, terms, .. } = reached;
        let send = Lane::spawn(&connection, StreamKind::Messages);
        let hands = Lane::spawn(&connection, StreamKind::Input);
        outlets.canvas.forget_shapes();
        let thread = decode::spawn(Arc::clone(&outlets.canvas), Arc::clone(&outlets.screen));
        let (arrivals, decoded) = thread.map_err(|error| Lost::Broken(error.to_string()))?;
        let mut streams = JoinSet::new();
        let (messages_tx, messages) = mpsc::channel(READ_QUEUE);
        let pictures =
            Pictures { arrivals, canvas: Arc::clone(&outlets.canvas), screen: Arc::clone(&outlets.screen) };
        let (messages_entrance, messages_lane) = lane_receiver(CONTROL_FRAME_BYTES_MAX);
        let (picture_entrance, picture_lane) = lane_receiver(PICTURE_FRAME_BYTES_MAX);
        let (cursor_entrance, cursor_lane) = lane_receiver(MESSAGE_BYTES_MAX);
        streams.spawn(read_messages(messages_lane, messages_tx));
        streams.spawn(read_picture(picture_lane, pictures.clone(), connection.clone()));
        streams.spawn(read_cursor(cursor_lane, pictures.clone()));
        let entrances =
            Entrances { messages: messages_entrance, picture: picture_entrance, cursor: cursor_entrance };
        streams.spawn(accept_streams(connection.clone(), entrances, pictures));
        let relay_lost = leg.is_none();
        let observed = leg.as_ref().and_then(RelayLeg::observed);
        let paths = Paths::spawn(&connection, endpoint, Side::Viewer, observed);
        Ok(Self {
            connection,
            send,
            hands,
            canvas: Arc::clone(&outlets.canvas),
            input: ViewerInput::new(),
            resume: terms.resume,
            paths,
            legs: leg.into_iter().collect(),
            new_legs: JoinSet::new(),
            // A session that began without the relay gets a way through it once it is back.
            relay_lost,
            call_at: None,
            call_pause: CALL_SOON,
            messages,
            decoded,
            acks: Acks::default(),
            figures: FigureBook::new(Instant::now()),
            exact_share: 0.0,
            has_video: false,
            _streams: streams,
        })
    }

    pub(super) fn path(&self) -> PathKind {
        self.paths.facts().kind
    }

    pub(super) fn resume(&self) -> [u8; 32] {
        self.resume
    }

    /// The session's loop.
    pub(super) async fn run(
        mut self,
        viewer: &mut Viewer,
        commands: &mut mpsc::Receiver<ViewerCommand>,
    ) -> Over {
        viewer.ports.connected(&self.connection);
        let mut figures = interval(FIGURES_EVERY);
        figures.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let wish = viewer.status.wish;
        if wish != ViewWish::default()
            && let Some(over) = self.say(&ViewerMessage::View(wish)).await
        {
            return over;
        }
        let over = loop {
            if let Err(lost) = self.send_input().await {
                break Over::Lost(lost);
            }
            if let Some(ack) = self.acks.take(Instant::now())
                && let Some(over) = self.say(&ack).await
            {
                break over;
            }
            let wakeup = self.input.next_wakeup().into_iter().chain(self.acks.due()).min();
            let over = tokio::select! {
                biased;
                lost = self.connection.closed() => Some(Over::Lost(lost)),
                command = commands.recv() => self.on_command(command, viewer).await,
                () = until(wakeup) => None,
                decoded = self.decoded.recv() => self.on_decoded(decoded, viewer).await,
                message = self.messages.recv() => match message {
                    Some(Ok(message)) => self.on_message(message, viewer),
                    Some(Err(error)) => {
                        tracing::warn!(%error, "bad message");
                        Some(Over::Lost(Lost::Broken(error.to_string())))
                    }
                    None => Some(Over::Lost(self.connection.closed().await)),
                },
                event = self.paths.event() => match event {
                    Some(event) => self.on_path(event, viewer).await,
                    None => Some(Over::Lost(self.connection.closed().await)),
                },
                event = next_relay_event(&mut viewer.relay) => {
                    self.on_relay(event, viewer);
                    None
                }
                () = viewer.ports.changed() => {
                    viewer.look_at_ports();
                    viewer.publish();
                    None
                }
                Some(leg) = self.new_legs.join_next() => {
                    self.on_leg(leg.ok());
                    None
                }
                () = until(self.call_at), if self.relay_lost => {
                    self.call_at = None;
                    self.call_again(viewer);
                    None
                }
                _ = figures.tick() => self.make_figures(viewer),
            };
            if let Some(over) = over {
                break over;
            }
        };
        if matches!(over, Over::Left) {
            tokio::join!(self.hands.finish(), self.send.finish());
        }
        self.connection.close();
        over
    }

    async fn send_input(&mut self) -> Result<(), Lost> {
        while let Some(outgoing) = self.input.poll(Instant::now()) {
            match outgoing {
                Outgoing::Datagram(pointer) => self.connection.send_datagram(encode(&pointer)),
                Outgoing::Reliable(event) => {
                    if self.hands.send(encode(&event)).await.is_err() {
                        return Err(self.connection.closed().await);
                    }
                }
            }
        }
        Ok(())
    }

    async fn say(&self, message: &ViewerMessage) -> Option<Over> {
        match say(&self.send, message).await {
            Ok(()) => None,
            Err(_) => Some(Over::Lost(self.connection.closed().await)),
        }
    }

    async fn on_command(&mut self, command: Option<ViewerCommand>, viewer: &mut Viewer) -> Option<Over> {
        match command {
            Some(ViewerCommand::Move(to)) => {
                self.canvas.lock().cursor.moved_to = None;
                self.input.pointer(to);
            }
            Some(ViewerCommand::Input(event)) => self.on_input(event),
            Some(ViewerCommand::ReleaseAll) => self.input.release_all(),
            Some(ViewerCommand::Watching(watching)) => {
                return self.say(&ViewerMessage::Watching(watching)).await;
            }
            Some(ViewerCommand::View(wish)) => {
                viewer.status.wish = wish;
                viewer.publish();
                return self.say(&ViewerMessage::View(wish)).await;
            }
            Some(ViewerCommand::Record(true)) => viewer.start_recording(&RecordTo::NewFile),
            Some(ViewerCommand::Record(false)) => viewer.stop_recording(),
            Some(ViewerCommand::Forward(forward)) => viewer.ports.add(forward),
            Some(ViewerCommand::StopForward(id)) => viewer.ports.remove(id),
            Some(ViewerCommand::Leave) | None => {
                self.input.release_all();
                self.send_input().await.ok();
                self.say(&ViewerMessage::Leave).await;
                return Some(Over::Left);
            }
            Some(ViewerCommand::Secret(_) | ViewerCommand::Retry | ViewerCommand::ForgetPin) => {}
        }
        None
    }

    fn on_input(&mut self, event: InputEvent) {
        match event {
            InputEvent::Pointer(pointer) => self.input.pointer(pointer.to),
            InputEvent::Button { button, down, at } => self.input.button(button, down, at.to),
            InputEvent::Wheel { x, y } => self.input.wheel(x, y),
            InputEvent::Key { key, down } => self.input.key(key, down),
            InputEvent::Text(text) => self.input.text(&text),
        }
    }

    async fn on_decoded(&mut self, decoded: Option<Decoded>, viewer: &mut Viewer) -> Option<Over> {
        match decoded {
            Some(Decoded::Done { number, sample, exact_share, has_video }) => {
                self.figures.note(sample);
                (self.exact_share, self.has_video) = (exact_share, has_video);
                self.acks.note(number, sample.bytes, Instant::now());
                let screen = self.canvas.lock().picture.size();
                if viewer.status.screen != screen {
                    viewer.status.screen = screen;
                    viewer.publish();
                }
                if !matches!(viewer.status.phase, ViewerPhase::Live) {
                    tracing::debug!(?screen, "first picture decoded");
                    viewer.tell(ViewerEvent::FirstFrame);
                    viewer.enter(ViewerPhase::Live);
                    if let Some(to) = viewer.config.record.take() {
                        viewer.start_recording(&to);
                    }
                }
                None
            }
            Some(Decoded::NeedsKeyframe) => self.say(&ViewerMessage::Refresh).await,
            Some(Decoded::Failed(error)) => {
                tracing::error!(%error, "picture not decoded");
                Some(Over::Undecodable)
            }
            None => Some(Over::Lost(self.connection.closed().await)),
        }
    }

    fn on_message(&self, message: HostMessage, viewer: &mut Viewer) -> Option<Over> {
        match message {
            HostMessage::Candidates(candidates) => self.paths.punch(candidates),
            HostMessage::Permission(permission) => {
                viewer.status.permission = permission;
                viewer.publish();
            }
            HostMessage::Ended(reason) => return Some(Over::Ended(reason)),
            HostMessage::Monitors(monitors) => {
                viewer.status.monitors = monitors;
                viewer.publish();
            }
            HostMessage::Asking | HostMessage::Accepted(_) | HostMessage::Refused(_) => {}
        }
        None
    }

    async fn on_path(&mut self, event: PathsEvent, viewer: &mut Viewer) -> Option<Over> {
        match event {
            PathsEvent::Changed(kind) => {
                if viewer.status.path.replace(kind) != Some(kind) {
                    viewer.tell(ViewerEvent::Path(kind));
                    viewer.publish();
                }
                None
            }
            PathsEvent::SendCandidates(candidates) => self.say(&ViewerMessage::Candidates(candidates)).await,
            PathsEvent::RelayLost => {
                self.relay_lost = true;
                self.call_again(viewer);
                None
            }
        }
    }

    /// Asks for another leg, for the day the direct path dies.
    fn call_again(&mut self, viewer: &mut Viewer) {
        let Target::Id(id) = viewer.config.target else { return };
        if let Some(relay) = viewer.relay.as_ref().filter(|_| self.relay_lost && viewer.registered) {
            viewer.calls += 1;
            relay.call(viewer.calls, id);
            self.call_at = Some(Instant::now() + CALL_EVERY);
        }
    }

    fn on_relay(&mut self, event: Option<RelayEvent>, viewer: &mut Viewer) {
        match event {
            Some(RelayEvent::Online { .. }) => {
                viewer.registered = true;
                self.call_pause = CALL_SOON;
                self.call_again(viewer);
            }
            // A relay that is gone takes its legs with it: QUIC would learn of it only seconds later.
            Some(RelayEvent::Offline { .. }) => {
                viewer.registered = false;
                self.relay_lost = true;
            }
            Some(RelayEvent::Ringing { call, leg, relay, .. }) if call == viewer.calls => {
                let endpoint = viewer.endpoint.clone();
                self.new_legs.spawn(async move { endpoint.bind_leg(&relay, leg).await });
            }
            Some(RelayEvent::CallFailed { call, reason: CallFailure::Offline }) if call == viewer.calls => {
                self.call_at = Some(Instant::now() + self.call_pause);
                self.call_pause = (self.call_pause * 2).min(CALL_EVERY);
            }
            Some(_) => {}
            None => viewer.relay = None,
        }
    }

    fn on_leg(&mut self, leg: Option<Result<RelayLeg, LegError>>) {
        if let Some(Ok(leg)) = leg {
            self.paths.add_relay(leg.addr());
            self.legs.push(leg);
            if self.legs.len() > LEGS_KEPT {
                self.legs.remove(0);
            }
            self.relay_lost = false;
        }
    }

    fn make_figures(&mut self, viewer: &mut Viewer) -> Option<Over> {
        let facts = self.paths.facts();
        self.relay_lost |= facts.silence > LEG_SILENCE;
        if self.call_at.is_none() {
            self.call_again(viewer);
        }
        // One whose path answers is given up only for a new one, which the relay has to be there for.
        let can_reconnect = viewer.registered || viewer.relay.is_none();
        if facts.unanswered > SILENCE_MAX || (facts.silence > SILENCE_MAX && can_reconnect) {
            return Some(Over::Lost(Lost::TimedOut));
        }
        let rtt = Some(Duration::from_millis(facts.rtt.as_millis() as u64)).filter(|_| !facts.rtt.is_zero());
        let figures = Figures {
            exact_share: if is_reduced(viewer.status.wish) { 0.0 } else { self.exact_share },
            has_video: self.has_video,
            ..self.figures.sum_up(facts.rtt, Instant::now())
        };
        viewer.note_paths(self.paths.stats());
        let search = self.paths.report();
        let is_news = viewer.look_at_recording() | viewer.look_at_ports() | (search != viewer.status.search);
        viewer.status.search = search;
        if is_news || (viewer.status.rtt, viewer.status.figures) != (rtt, figures) {
            (viewer.status.rtt, viewer.status.figures) = (rtt, figures);
            viewer.publish();
        }
        None
    }
}

/// Whether less than the host's pixels was asked for.
fn is_reduced(wish: ViewWish) -> bool {
    matches!(wish.quality, Quality::Saver { grey, half } if grey || half)
}

/// Where the host's streams end.
#[derive(Clone)]
struct Pictures {
    arrivals: mpsc::Sender<Arrival>,
    canvas: Arc<Canvas>,
    screen: Arc<dyn Screen>,
}

impl Pictures {
    /// Hands something to the decode thread; whether that is still there.
    async fn take(&self, part: Part) -> bool {
        self.arrivals.send(Arrival { part, at: Instant::now() }).await.is_ok()
    }
}

/// Where the host's lanes come in.
struct Entrances {
    messages: LaneEntrance,
    picture: LaneEntrance,
    cursor: LaneEntrance,
}

/// Takes the streams that the host opens.
async fn accept_streams(connection: Connection, entrances: Entrances, pictures: Pictures) {
    // QUIC bounds how many have begun and say nothing.
    let mut begun = JoinSet::new();
    while let Ok(mut stream) = connection.accept_uni().await {
        let Entrances { messages, picture, cursor } = &entrances;
        let (messages, picture, cursor) = (messages.clone(), picture.clone(), cursor.clone());
        let pictures = pictures.clone();
        begun.spawn(async move {
            match stream.read_u8().await.map(StreamKind::parse) {
                Ok(Some(StreamKind::Messages)) => messages.take(stream).await,
                Ok(Some(StreamKind::Picture)) => picture.take(stream).await,
                Ok(Some(StreamKind::Cursor)) => cursor.take(stream).await,
                Ok(Some(StreamKind::Video)) => read_frame(stream, pictures).await,
                // A newer host may send more than this program knows.
                Ok(Some(StreamKind::Input | StreamKind::Port) | None) | Err(_) => {}
            }
        });
        while begun.try_join_next().is_some() {}
    }
}

/// Hands the updates of the picture's lane on. One that breaks ends the connection: another one repairs it.
async fn read_picture(mut lane: LaneReceiver, pictures: Pictures, connection: Connection) {
    let error = loop {
        let update = match lane.next().await {
            Ok(frame) => split_update(frame),
            Err(StreamError::Lost(_)) => return,
            Err(error) => break error,
        };
        let Some((header, payload)) = update else { break StreamError::EndedEarly };
        // The decoder refuses one that is not sound, with a reason, and the session ends with that.
        if !pictures.take(Part::Update(header, payload)).await {
            return;
        }
    };
    tracing::warn!(%error, "no picture any more");
    connection.close();
}

/// The header of an update and the payloads of its bands.
fn split_update(mut frame: Bytes) -> Option<(UpdateHeader, Bytes)> {
    let length = frame.try_get_u32().ok()? as usize;
    let header: UpdateHeader = decode(frame.get(..length)?).ok()?;
    let payload = frame.split_off(length);
    let is_whole = header.payload_len() == payload.len();
    (is_whole || !header.is_sound()).then_some((header, payload))
}

/// Reads one video frame; one that is cut short was given up by the host.
async fn read_frame(mut stream: RecvStream, pictures: Pictures) {
    let Ok(bytes) = stream.read_long_frame(MESSAGE_BYTES_MAX).await else { return };
    let Ok(header) = decode::<VideoHeader>(&bytes) else { return };
    if let Ok(payload) = stream.read_to_end(VIDEO_FRAME_BYTES_MAX).await {
        pictures.take(Part::Frame(header, payload)).await;
    }
}

async fn read_cursor(mut lane: LaneReceiver, pictures: Pictures) {
    while let Ok(bytes) = lane.next().await {
        match decode::<CursorUpdate>(&bytes) {
            Ok(CursorUpdate::Shape(shape)) if !shape.is_sound() => return,
            Ok(update) => {
                pictures.canvas.apply_cursor(update);
                pictures.screen.cursor_changed();
            }
            Err(_) => return,
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
