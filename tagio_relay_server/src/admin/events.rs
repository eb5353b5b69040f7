//! The stream of server-sent events (HTML standard, section 9.2) behind the admin's page.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{EVENT_EVERY, sessions::Name};
use crate::shared::Shared;

/// A body that tells how the relay is until its session ends. A browser that does not read makes it wait.
pub(crate) struct Events {
    shared: Arc<Shared>,
    session: Name,
    ticks: Interval,
}

impl Events {
    pub(super) fn new(shared: Arc<Shared>, session: Name) -> Self {
        let mut ticks = interval(EVENT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { shared, session, ticks }
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.ticks.poll_tick(cx));
        let admin = &self.shared.admin;
        if !admin.is_open(self.session) {
            return Poll::Ready(None);
        }
        let event = format!("data: {}\n\n", admin.json(&self.shared));
        Poll::Ready(Some(Ok(Frame::data(event.into()))))
    }
}
