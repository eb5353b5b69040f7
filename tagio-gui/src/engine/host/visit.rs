//! A visit: one viewer's session on the host, until the release of the last key that it held.

use std::time::{Duration, Instant};

use tagio_session::{SafetyPhrase, input::HostInput, resume::Issued};
use tagio_transport::{
    Connection, PathFacts, PathKind, Paths, PathsEvent, Side,
    lane::{Lane, lane_receiver},
};
use tagio_wire::{
    Point, PublicKey, Size, decode,
    input::{InputEvent, PointerMove},
    picture::UpdateNumber,
    session::{
        CONTROL_FRAME_BYTES_MAX, EndReason, HostMessage, Permission, StreamKind, Terms, ViewWish,
        ViewerMessage,
    },
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    Note,
    door::{Control, Entry, House},
    streams::{Entrances, LastMove, accept_streams, send_cursor, send_picture, send_video},
};
use crate::{
    engine::{
        ControlError, read_messages, say, send_message,
        status::{ConnectedViewer, ViewerId},
    },
    host::picture::{
        Audience, CURSORS_QUEUE, FRAMES_QUEUE, PathNews, ScreenLayout, ScreenState, UPDATES_QUEUE,
    },
};

/// How long a session outlives its host's screen, as while a display is switched.
const SCREEN_AWAY: Duration = Duration::from_secs(10);
/// Messages and input events that were read and wait for the visit's loop, which does nothing slow.
const READ_QUEUE: usize = 64;
/// How often the pacer hears the round trip of the path.
const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// A viewer that is silent for so long holds nothing down any more: a key must not repeat through an outage.
const HOLD_MAX: Duration = Duration::from_secs(2);
/// How long a viewer may leave a message unread. One that reads nothing must not hold up the end of its session.
const SEND_DEADLINE: Duration = Duration::from_secs(2);
/// Orders of the host's user.
const ORDERS_QUEUE: usize = 8;

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
pub(super) enum Over {
    /// By this host.
    Ended(EndReason),
    /// By the viewer.
    Left,
    /// The connection is lost; the viewer may come back.
    Lost,
}

/// A visit that was admitted.
pub(super) struct Visit<'a> {
    house: &'a House,
    viewer: ViewerId,
    connection: &'a Connection,
    key: PublicKey,
    name: String,
    phrase: SafetyPhrase,
    permission: Permission,
    wanted: Permission,
    layout: ScreenLayout,
    wish: ViewWish,
    held: HostInput,
    ticket: Issued,
    last_move: LastMove,
    /// The newest update that the viewer has decoded.
    acked: watch::Sender<UpdateNumber>,
    /// Since when the screen is away.
    away_since: Option<Instant>,
}

impl<'a> Visit<'a> {
    pub(super) fn new(
        house: &'a House,
        viewer: ViewerId,
        connection: &'a Connection,
        entry: &Entry,
        permission: Permission,
        layout: ScreenLayout,
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
            wanted: entry.wanted(),
            held: HostInput::new(permission, layout.size),
            layout,
            wish: ViewWish::default(),
            ticket,
            last_move: LastMove::long_ago(),
            acked: watch::Sender::default(),
            away_since: None,
        }
    }

    /// Runs it to its end.
    pub(super) async fn run(mut self, control: Control) -> Over {
        let Control { send: mut door, recv: _ } = control;
        let terms = Terms {
            permission: self.permission,
            host_name: self.house.name.clone(),
            screen: self.layout.size,
            resume: self.ticket.token,
        };
        let accepted = timeout(SEND_DEADLINE, send_message(&mut door, &HostMessage::Accepted(terms))).await;
        let send = Lane::spawn(self.connection, StreamKind::Messages);
        if !matches!(accepted, Ok(Ok(()))) || self.tell_monitors(&send).await.is_err() {
            self.house.gate.lock().tickets.session_lost(self.ticket.id, Instant::now());
            return Over::Lost;
        }
        let mut streams = JoinSet::new();
        let picture_over = self.open_streams(&mut streams);
        let (orders_tx, orders) = mpsc::channel(ORDERS_QUEUE);
        let paths = Paths::spawn(self.connection, &self.house.endpoint, Side::Host, self.house.observed);
        self.announce(orders_tx, paths.facts().kind).await;
        let over = self.attend(&send, &mut streams, orders, paths, picture_over).await;
        self.house.picture.leave(self.viewer);
        self.release_all();
        {
            let tickets = &mut self.house.gate.lock().tickets;
            match over {
                Over::Ended(_) | Over::Left => tickets.revoke(self.ticket.id),
                Over::Lost => tickets.session_lost(self.ticket.id, Instant::now()),
            }
        }
        if let Over::Ended(reason) = over
            && tell(&send, &HostMessage::Ended(reason)).await.is_ok()
        {
            send.finish().await;
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
        self.house
            .notes
            .send(Note::Joined { viewer, key: self.key, ticket: self.ticket.id, orders })
            .await
            .ok();
    }

    /// Starts what sends to the viewer.
    /// The receiver hears when the picture ends, as it does when it cannot be encoded.
    fn open_streams(&self, streams: &mut JoinSet<()>) -> oneshot::Receiver<()> {
        let (updates_tx, updates) = mpsc::channel(UPDATES_QUEUE);
        let (cursors_tx, cursors) = mpsc::channel(CURSORS_QUEUE);
        let picture = send_picture(self.connection.clone(), updates, self.acked.subscribe());
        let (over_tx, picture_over) = oneshot::channel();
        streams.spawn(async move {
            picture.await;
            over_tx.send(()).ok();
        });
        streams.spawn(send_cursor(self.connection.clone(), cursors, self.last_move.clone()));
        let (frames_tx, frames) = mpsc::channel(FRAMES_QUEUE);
        let (screen, viewer) = (self.house.picture.clone(), self.viewer);
        streams.spawn(send_video(self.connection.clone(), frames, move || screen.refresh(viewer)));
        let audience = Audience {
            updates: updates_tx,
            frames: frames_tx,
            cursors: cursors_tx,
            rtt: self.connection.rtt(),
        };
        self.house.picture.join(self.viewer, audience);
        picture_over
    }

    /// The visit's loop.
    async fn attend(
        &mut self,
        send: &Lane,
        streams: &mut JoinSet<()>,
        mut orders: mpsc::Receiver<Order>,
        mut paths: Paths,
        mut picture_over: oneshot::Receiver<()>,
    ) -> Over {
        let (messages_tx, mut messages) = mpsc::channel(READ_QUEUE);
        let (inputs_tx, mut inputs) = mpsc::channel(READ_QUEUE);
        let (messages_entrance, messages_lane) = lane_receiver(CONTROL_FRAME_BYTES_MAX);
        let (inputs_entrance, inputs_lane) = lane_receiver(CONTROL_FRAME_BYTES_MAX);
        let entrances = Entrances { messages: messages_entrance, inputs: inputs_entrance };
        streams.spawn(accept_streams(self.connection.clone(), entrances));
        streams.spawn(read_messages(messages_lane, messages_tx));
        streams.spawn(read_messages(inputs_lane, inputs_tx));
        let mut screen = self.house.picture.screen();
        let mut measure = interval(MEASURE_EVERY);
        measure.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let over = tokio::select! {
                biased;
                _ = self.connection.closed() => Err(Over::Lost),
                order = orders.recv() => self.on_order(order, send).await,
                _ = &mut picture_over => Err(Over::Ended(EndReason::ScreenLost)),
                input = inputs.recv() => match input {
                    Some(Ok(event)) => self.on_input(event),
                    Some(Err(error)) => Err(broken(&error)),
                    None => Err(Over::Lost),
                },
                datagram = self.connection.read_datagram() => match datagram {
                    Ok(bytes) => decode(&bytes).map_or(Ok(()), |pointer| self.on_move(pointer)),
                    Err(_) => Err(Over::Lost),
                },
                message = messages.recv() => match message {
                    Some(Ok(message)) => self.on_message(message, &paths),
                    Some(Err(error)) => Err(broken(&error)),
                    None => Err(Over::Lost),
                },
                event = paths.event() => self.on_path(event, paths.facts().rtt, send).await,
                _ = measure.tick() => self.measure(paths.facts()),
                Ok(()) = screen.changed() => {
                    let state = screen.borrow_and_update().clone();
                    self.on_screen(state, send).await
                }
            };
            if let Err(over) = over {
                return over;
            }
        }
    }

    fn measure(&mut self, facts: PathFacts) -> Result<(), Over> {
        self.house.picture.path(self.viewer, facts.rtt, PathNews::Measured);
        if facts.silence > HOLD_MAX {
            self.release_all();
        }
        if self.away_since.is_some_and(|since| since.elapsed() > SCREEN_AWAY) {
            return Err(Over::Ended(EndReason::ScreenLost));
        }
        Ok(())
    }

    async fn on_screen(&mut self, state: ScreenState, send: &Lane) -> Result<(), Over> {
        match state {
            ScreenState::Ready(layout) => {
                self.away_since = None;
                let had = std::mem::replace(&mut self.layout, layout);
                self.look_again();
                if had.monitors != self.layout.monitors {
                    return self.tell_monitors(send).await;
                }
            }
            ScreenState::Opening | ScreenState::Unavailable(_) => {
                self.away_since.get_or_insert_with(Instant::now);
            }
        }
        Ok(())
    }

    async fn tell_monitors(&self, send: &Lane) -> Result<(), Over> {
        tell(send, &HostMessage::Monitors(self.layout.monitors.clone())).await
    }

    /// The part of the screen that is looked at may be another one.
    fn look_again(&mut self) {
        let area = self.layout.area(self.wish.area);
        self.held.set_screen(Size::new(area.width, area.height));
    }

    async fn on_order(&mut self, order: Option<Order>, send: &Lane) -> Result<(), Over> {
        match order {
            Some(Order::Permit(permission)) => {
                self.permit(permission);
                tell(send, &HostMessage::Permission(self.permission)).await
            }
            Some(Order::End(reason)) => Err(Over::Ended(reason)),
            Some(Order::Vanish) => Err(Over::Lost),
            None => Err(Over::Ended(EndReason::HostStops)),
        }
    }

    async fn on_path(&self, event: Option<PathsEvent>, rtt: Duration, send: &Lane) -> Result<(), Over> {
        match event {
            Some(PathsEvent::Changed(kind)) => {
                self.house.picture.path(self.viewer, rtt, PathNews::Changed);
                self.house.notes.send(Note::Path(self.viewer, kind)).await.ok();
                Ok(())
            }
            Some(PathsEvent::SendCandidates(own)) => tell(send, &HostMessage::Candidates(own)).await,
            // The viewer's business.
            Some(PathsEvent::RelayLost) => Ok(()),
            None => Err(Over::Lost),
        }
    }

    fn on_message(&mut self, message: ViewerMessage, paths: &Paths) -> Result<(), Over> {
        match message {
            ViewerMessage::Ack { number, held } => {
                let held = Duration::from_micros(u64::from(held) * 100);
                self.acked.send_replace(number);
                self.house.picture.acked(self.viewer, number, held);
            }
            ViewerMessage::Watching(watching) => self.house.picture.watching(self.viewer, watching),
            ViewerMessage::Candidates(candidates) => paths.punch(candidates),
            ViewerMessage::Leave => return Err(Over::Left),
            ViewerMessage::View(wish) => {
                self.wish = wish;
                self.look_again();
                self.house.picture.wish(self.viewer, wish);
            }
            ViewerMessage::Refresh => self.house.picture.refresh(self.viewer),
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
        let area = self.layout.area(self.wish.area);
        for event in events {
            let event = on_screen(event, Point::new(area.x as i32, area.y as i32));
            if let Err(error) = self.house.hands.inject(event) {
                tracing::error!(%error, "input not injected");
                return Err(Over::Ended(EndReason::ScreenLost));
            }
        }
        Ok(())
    }

    /// Never more than the viewer wants, and than this host allows at all.
    fn permit(&mut self, permission: Permission) {
        let permission = permission.min(self.wanted).min(self.house.permission_max);
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

/// An event whose position is within an area of the screen, as one on the screen.
fn on_screen(event: InputEvent, origin: Point) -> InputEvent {
    let moved = |pointer: PointerMove| {
        let to = Point::new(pointer.to.x.saturating_add(origin.x), pointer.to.y.saturating_add(origin.y));
        PointerMove { to, ..pointer }
    };
    match event {
        InputEvent::Pointer(pointer) => InputEvent::Pointer(moved(pointer)),
        InputEvent::Button { button, down, at } => InputEvent::Button { button, down, at: moved(at) },
        other @ (InputEvent::Wheel { .. } | InputEvent::Key { .. } | InputEvent::Text(_)) => other,
    }
}

/// The viewer has sent something that is no message.
fn broken(error: &ControlError) -> Over {
    tracing::warn!(%error, "bad message");
    Over::Ended(EndReason::Protocol)
}

/// Sends a message to a viewer that reads; one that does not is lost.
async fn tell(lane: &Lane, message: &HostMessage) -> Result<(), Over> {
    match timeout(SEND_DEADLINE, say(lane, message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Over::Lost),
    }
}
