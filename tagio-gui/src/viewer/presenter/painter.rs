//! The thread `painter`, which owns a presenter. Whoever has news leaves a note and goes on; the thread shows
//! the newest picture, so notes never queue up: damage is one region, and of views only the last one counts.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::JoinHandle,
};

use tagio_media::Region;
use tagio_process::spawn_named;

use super::{Lender, PresentError, Presenter};
use crate::views::session::PictureView;

const LOCK: &str = "no thread panics while it holds the notes";

/// Owns the thread; dropping it ends and joins the thread.
pub struct PainterThread {
    mail: PainterMail,
    thread: Option<JoinHandle<()>>,
}

/// Leaves notes for the thread. Never blocks.
#[derive(Clone, Default)]
pub struct PainterMail(Arc<Shared>);

#[derive(Default)]
struct Shared {
    notes: Mutex<Notes>,
    wake: Condvar,
}

#[derive(Default)]
struct Notes {
    view: Option<PictureView>,
    damage: Region,
    cursor: bool,
    end: bool,
    /// The presenter is of no more use.
    lost: bool,
}

impl PainterThread {
    /// Starts to show what `picture` lends. `on_lost` is called at most once, on the thread.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn spawn(
        presenter: Box<dyn Presenter>,
        picture: Arc<dyn Lender>,
        mail: PainterMail,
        on_lost: impl FnOnce(PresentError) + Send + 'static,
    ) -> std::io::Result<Self> {
        let notes = mail.clone();
        let thread = spawn_named("painter", move || {
            if let Err(error) = paint(presenter, &*picture, &notes) {
                notes.lock().lost = true;
                on_lost(error);
            }
        })?;
        Ok(Self { mail, thread: Some(thread) })
    }

    /// For those who have news.
    pub fn mail(&self) -> &PainterMail {
        &self.mail
    }
}

impl Drop for PainterThread {
    fn drop(&mut self) {
        self.mail.note(|notes| notes.end = true);
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so in the log.
            thread.join().ok();
        }
    }
}

impl PainterMail {
    /// The picture changed.
    pub fn damage(&self, damage: &Region) {
        self.note(|notes| notes.damage.merge(damage));
    }

    /// The picture is seen like this from now on.
    pub fn place(&self, view: PictureView) {
        self.note(|notes| notes.view = Some(view));
    }

    /// The remote cursor changed.
    pub fn cursor_changed(&self) {
        self.note(|notes| notes.cursor = true);
    }

    /// Whether nobody shows the picture any more.
    pub fn is_lost(&self) -> bool {
        self.lock().lost
    }

    fn note(&self, write: impl FnOnce(&mut Notes)) {
        write(&mut self.lock());
        self.0.wake.notify_one();
    }

    /// The next notes, or `None` at the end.
    fn take(&self) -> Option<Notes> {
        let is_idle = |notes: &mut Notes| {
            !(notes.end || notes.cursor || notes.view.is_some() || !notes.damage.is_empty())
        };
        let mut notes = self.0.wake.wait_while(self.lock(), is_idle).expect(LOCK);
        (!notes.end).then(|| std::mem::take(&mut *notes))
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.0.notes.lock().expect(LOCK)
    }
}

fn paint(
    mut presenter: Box<dyn Presenter>,
    picture: &dyn Lender,
    mail: &PainterMail,
) -> Result<(), PresentError> {
    while let Some(notes) = mail.take() {
        // A pointer must never wait for a picture.
        if notes.cursor {
            presenter.set_cursor(picture.cursor())?;
        }
        if let Some(view) = notes.view {
            presenter.place(view, picture)?;
        }
        if !notes.damage.is_empty() {
            presenter.present(picture, &notes.damage)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tagio_media::Framebuffer;
    use tagio_wire::Rect;

    use super::*;
    use crate::views::session::CursorState;

    struct NoPicture;

    impl Lender for NoPicture {
        fn lend(&self, _read: &mut dyn FnMut(&Framebuffer)) {}
        fn cursor(&self) -> CursorState {
            CursorState::default()
        }
    }

    /// Says what it is told, and waits at each call until it may go on.
    struct Slow {
        says: mpsc::Sender<String>,
        may: mpsc::Receiver<Result<(), PresentError>>,
    }

    impl Slow {
        fn say(&self, what: String) -> Result<(), PresentError> {
            self.says.send(what).unwrap();
            self.may.recv().unwrap_or(Ok(()))
        }
    }

    impl Presenter for Slow {
        fn present(&mut self, _picture: &dyn Lender, damage: &Region) -> Result<(), PresentError> {
            self.say(format!("{} pixels", damage.area()))
        }
        fn place(&mut self, view: PictureView, _picture: &dyn Lender) -> Result<(), PresentError> {
            self.say(format!("at {}", view.area.x))
        }
        fn set_cursor(&mut self, _cursor: CursorState) -> Result<(), PresentError> {
            self.say("cursor".to_owned())
        }
    }

    fn at(x: u32) -> PictureView {
        PictureView { area: Rect::new(x, 0, 1, 1), ..PictureView::default() }
    }

    fn damage(x: u32) -> Region {
        let mut region = Region::new();
        region.add(Rect::new(x, 0, 10, 10));
        region
    }

    #[test]
    fn a_slow_presenter_is_told_only_of_the_newest() {
        let ((says, said), (go, may)) = (mpsc::channel(), mpsc::channel());
        let mail = PainterMail::default();
        let slow = Box::new(Slow { says, may });
        let thread = PainterThread::spawn(slow, Arc::new(NoPicture), mail.clone(), |_| {}).unwrap();
        mail.damage(&damage(0));
        assert_eq!(said.recv().unwrap(), "100 pixels");
        for x in 1..50 {
            mail.place(at(x));
            mail.damage(&damage(x % 2 * 500));
        }
        mail.cursor_changed();
        (0..4).for_each(|_| go.send(Ok(())).unwrap());
        let rest: Vec<String> = said.iter().take(3).collect();
        assert_eq!(rest, ["cursor", "at 49", "200 pixels"]);
        drop(thread);
        assert!(said.recv().is_err(), "its presenter went with the thread");
    }

    #[test]
    fn a_lost_window_is_told() {
        let ((says, _said), (go, may)) = (mpsc::channel(), mpsc::channel());
        let (lost, is_lost) = mpsc::channel();
        let mail = PainterMail::default();
        let on_lost = move |error: PresentError| lost.send(error.to_string()).unwrap();
        let slow = Box::new(Slow { says, may });
        let _thread = PainterThread::spawn(slow, Arc::new(NoPicture), mail.clone(), on_lost).unwrap();
        go.send(Err(PresentError::Lost("closed".to_owned()))).unwrap();
        assert!(!mail.is_lost());
        mail.place(at(1));
        assert!(is_lost.recv().unwrap().contains("closed"));
        assert!(mail.is_lost());
    }
}
