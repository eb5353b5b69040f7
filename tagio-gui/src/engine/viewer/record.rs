//! The recording of a viewer's session: started and stopped by the user, and carried on over a reconnect.

use std::{path::Path, time::Instant};

use tagio_media::Region;

use super::{RecordTo, Viewer};
use crate::{
    engine::status::Recording,
    recording::{Destination, Recorder},
};

impl Viewer {
    /// Starts to record, if nothing is being recorded.
    pub(super) fn start_recording(&mut self, to: &RecordTo) {
        if self.recorder.is_some() {
            return;
        }
        let (now, host) = (Instant::now(), self.status.host_name.clone());
        let destination = match to {
            RecordTo::NewFile => Destination::default_for(&host),
            RecordTo::File(file) => destination_of(file),
        };
        let file = destination.folder.join(&destination.name);
        let (file, problem) = match Recorder::start(destination, now) {
            Ok(recorder) => {
                let tap = recorder.tap();
                self.outlets.canvas.set_tap(Some(tap.clone()));
                let canvas = self.outlets.canvas.lock();
                tap.frame(&canvas.picture, &Region::whole(canvas.picture.size()), now);
                let file = recorder.file();
                self.recorder = Some(recorder);
                (file, None)
            }
            Err(error) => (file, Some(format!("The recording did not start: {error}."))),
        };
        self.status.recording = Some(Recording { file, since: now, problem });
        self.publish();
    }

    /// Ends the recording. Its last picture is encoded in the background.
    pub(super) fn stop_recording(&mut self) {
        self.outlets.canvas.set_tap(None);
        if let Some(recorder) = self.recorder.take() {
            let stop = move || match recorder.stop(Instant::now()) {
                Ok(file) => tracing::info!(file = %file.display(), "recorded"),
                Err(error) => tracing::warn!(%error, "recording"),
            };
            // Encoding what is left takes longer than a session's task may be away.
            tokio::task::spawn_blocking(stop);
        }
        self.status.recording = None;
        self.publish();
    }

    /// Tells where the recording goes now and what went wrong with it. Whether that is news.
    pub(super) fn look_at_recording(&mut self) -> bool {
        let (Some(recorder), Some(told)) = (&self.recorder, &mut self.status.recording) else { return false };
        let now = (recorder.file(), recorder.problem());
        let is_news = (&told.file, &told.problem) != (&now.0, &now.1);
        (told.file, told.problem) = now;
        is_news
    }
}

/// The folder and the name of a file that the user chose.
fn destination_of(file: &Path) -> Destination {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Destination { folder: folder.unwrap_or_else(|| Path::new(".")).to_owned(), name }
}
