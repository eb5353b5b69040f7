//! Datagrams of one user: a flow, which is a session through a node, for each target.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use prost::Message as _;
use tagio_edge::{
    inbox::Step,
    link::{Kind, Link},
    session::Session,
    wire::{Message, MessageType, UdpData},
};
use tagio_proxy::{Datagrams, Target};
use tagio_relay_core::edge::Direction;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{Edges, Opened, User, place::Place};
use crate::lock::lock;

/// Datagrams that wait for the user, up to 64 KiB each; more are lost.
const QUEUE: usize = 64;

/// See the module. The flows end when it is dropped.
pub(super) struct Flows {
    edges: Arc<Edges>,
    user: User,
    open: Arc<Mutex<HashMap<Target, Flow>>>,
    tasks: Mutex<JoinSet<()>>,
    arrived: mpsc::Sender<(Target, Bytes)>,
    arriving: tokio::sync::Mutex<mpsc::Receiver<(Target, Bytes)>>,
}

/// What is needed to send something.
struct Flow {
    link: Link,
    session_id: String,
    place: Arc<Place>,
    sent: Instant,
}

impl Flows {
    pub(super) fn new(edges: Arc<Edges>, user: User) -> Self {
        let (arrived, arriving) = mpsc::channel(QUEUE);
        Self {
            edges,
            user,
            open: Arc::default(),
            tasks: Mutex::default(),
            arrived,
            arriving: arriving.into(),
        }
    }

    /// Opens a flow; none where the book says no.
    fn open(&self, target: &Target) -> Option<Flow> {
        let opened = self.edges.open(&self.user, Kind::Udp).map_err(|denial| self.edges.deny(denial));
        let Opened { session, place, node } = opened.ok()?;
        let flow = Flow {
            link: node.link,
            session_id: session.id().to_owned(),
            place: Arc::clone(&place),
            sent: Instant::now(),
        };
        let back = Back {
            place,
            target: target.clone(),
            open: Arc::clone(&self.open),
            arrived: self.arrived.clone(),
            silence: Duration::from_secs(self.edges.relay.limits().edge_udp_secs.into()),
        };
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(back.serve(session));
        Some(flow)
    }
}

impl Datagrams for Flows {
    fn send(&self, target: &Target, payload: Bytes) {
        let mut open = lock(&self.open);
        if !open.contains_key(target) {
            let Some(flow) = self.open(target) else { return };
            open.insert(target.clone(), flow);
        }
        let Some(flow) = open.get_mut(target) else { return };
        flow.sent = Instant::now();
        if !flow.place.lets_datagram(Direction::Up, payload.len()) {
            return;
        }
        let datagram = UdpData { addr: target.to_string(), data: payload }.encode_to_vec();
        flow.link.try_send(Message::new(MessageType::ProxyUdpData, &flow.session_id, datagram));
    }

    async fn receive(&self) -> Option<(Target, Bytes)> {
        self.arriving.lock().await.recv().await
    }
}

/// A flow's way back.
struct Back {
    place: Arc<Place>,
    target: Target,
    open: Arc<Mutex<HashMap<Target, Flow>>>,
    arrived: mpsc::Sender<(Target, Bytes)>,
    silence: Duration,
}

impl Back {
    /// Until the flow was silent for so long in both directions, or its node is gone.
    async fn serve(self, session: Session) {
        let mut last = Instant::now();
        loop {
            tokio::select! {
                step = session.next() => {
                    let Step::Data(datagram) = step else { break };
                    last = Instant::now();
                    if self.place.lets_datagram(Direction::Down, datagram.len()) {
                        // A user who does not take it loses it.
                        let _ = self.arrived.try_send((self.target.clone(), datagram));
                    }
                }
                () = sleep_until(last + self.silence) => {
                    let mut open = lock(&self.open);
                    let sent = open.get(&self.target).map_or(last, |flow| flow.sent);
                    if sent + self.silence <= Instant::now() {
                        open.remove(&self.target);
                        return;
                    }
                    last = sent;
                }
            }
        }
        lock(&self.open).remove(&self.target);
    }
}
