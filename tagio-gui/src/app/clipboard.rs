//! Copy and paste in the window's own text fields. A thread of its own talks to the system, because the
//! owner of a clipboard may take seconds to answer.

use std::sync::{
    Arc, Mutex, PoisonError,
    mpsc::{Receiver, SyncSender, sync_channel},
};

use eframe::egui::{self, Event, Key, OutputCommand};
use tagio_process::spawn_named;

/// Nobody copies faster than a thread can keep up with; one that hangs loses the rest.
const JOBS_MAX: usize = 8;

enum Job {
    Set(String),
    Get,
}

/// The window's end of it.
pub(super) struct Clipboard {
    jobs: SyncSender<Job>,
    pasted: Arc<Mutex<Option<String>>>,
}

impl Clipboard {
    /// Starts the thread. Without one there is no copy and paste, and everything else works.
    pub(super) fn new(ctx: &egui::Context) -> Self {
        let (jobs, todo) = sync_channel(JOBS_MAX);
        let pasted = Arc::new(Mutex::new(None));
        let (ctx, result) = (ctx.clone(), Arc::clone(&pasted));
        if let Err(error) = spawn_named("clipboard", move || work(&todo, &result, &ctx)) {
            tracing::warn!(%error, "no copy and paste");
        }
        Self { jobs, pasted }
    }

    /// Turns the shortcuts among `events` into egui's events, and adds what was asked for before.
    pub(super) fn before_frame(&self, events: &mut Vec<Event>) {
        for event in events.iter_mut() {
            let Event::Key { key, pressed: true, modifiers, .. } = event else { continue };
            let key = *key;
            let (command, shift) = (modifiers.command, modifiers.shift);
            match key {
                Key::C if command && !shift => *event = Event::Copy,
                Key::X if command && !shift => *event = Event::Cut,
                Key::Insert if command => *event = Event::Copy,
                Key::V if command => self.request(Job::Get),
                Key::Insert if shift => self.request(Job::Get),
                _ => {}
            }
        }
        let pasted = self.pasted.lock().unwrap_or_else(PoisonError::into_inner).take();
        events.extend(pasted.map(Event::Paste));
    }

    /// Puts what the frame copied on the system's clipboard.
    pub(super) fn after_frame(&self, ctx: &egui::Context) {
        ctx.output_mut(|output| {
            output.commands.retain_mut(|command| match command {
                OutputCommand::CopyText(text) => {
                    self.request(Job::Set(std::mem::take(text)));
                    false
                }
                _ => true,
            });
        });
    }

    fn request(&self, job: Job) {
        if self.jobs.try_send(job).is_err() {
            tracing::warn!("the clipboard does not answer");
        }
    }
}

fn work(todo: &Receiver<Job>, pasted: &Mutex<Option<String>>, ctx: &egui::Context) {
    let mut board = match arboard::Clipboard::new() {
        Ok(board) => board,
        Err(error) => {
            tracing::warn!(%error, "no clipboard");
            return;
        }
    };
    while let Ok(job) = todo.recv() {
        let done = match job {
            Job::Set(text) => board.set_text(text),
            Job::Get => board.get_text().map(|text| {
                *pasted.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
                ctx.request_repaint();
            }),
        };
        if let Err(error) = done {
            tracing::debug!(%error, "clipboard");
        }
    }
}
