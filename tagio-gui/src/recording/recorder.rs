//! A recording that runs: the thread `recorder`, which encodes and writes, and the handles on it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tagio_media::{Framebuffer, Region};
use tagio_process::spawn_named;
use thiserror::Error;

use super::{
    files,
    film::{Film, FilmError},
    mailbox::{Mailbox, News},
    mp4::WriteError,
};

/// Between two pictures: more than 30 in a second help nobody who watches a desktop.
const PICTURE_INTERVAL: Duration = Duration::from_millis(33);
/// On a still screen the last picture is repeated as often, which costs nearly nothing and brings what is in memory
/// to the disk.
const STILL_INTERVAL: Duration = Duration::from_secs(2);

const LOCK: &str = "no thread panics while it holds the recording's state";

/// Why there is no recording, or no more of it.
#[derive(Debug, Error)]
pub enum RecordError {
    /// No file can be made in the folder.
    #[error("cannot record into the folder {}: {source}; choose another one", folder.display())]
    Folder {
        /// Which one.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file cannot grow.
    #[error("the disk is full; what was recorded before is in {}", .0.display())]
    DiskFull(PathBuf),
    /// The film could not go on.
    #[error(transparent)]
    Film(#[from] FilmError),
    /// It was stopped before the first picture.
    #[error("nothing was recorded: no picture came")]
    Nothing,
    /// The system has no thread left, or the recorder's ended by a bug.
    #[error("the recorder could not run")]
    Thread,
}

/// Where to record.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The folder, which must be there.
    pub folder: PathBuf,
    /// Of the files, without their ending; see [`Self::default_for`].
    pub name: String,
}

impl Destination {
    /// The user's folder for films, and a name made of the host's and the time.
    pub fn default_for(host_name: &str) -> Self {
        let name = files::name_of(host_name, chrono::Local::now().naive_local());
        Self { folder: files::default_folder(), name }
    }

    fn create(&self) -> Result<(File, PathBuf), RecordError> {
        let failed = |source| RecordError::Folder { folder: self.folder.clone(), source };
        files::create(&self.folder, &self.name).map_err(failed)
    }
}

/// Where pictures are handed in. Cheap to clone; pictures for a recording that is over are dropped.
#[derive(Clone, Debug)]
pub struct Tap(Arc<Mailbox>);

impl Tap {
    /// Hands in the picture, which is like this since `now` and differs from the one before where `changed` says.
    ///
    /// Copies what changed and returns: it never waits for the encoder. When that is slow, it skips to the newest
    /// picture. The first picture, and the first of another size, are taken as a whole.
    ///
    /// To start with what is on the screen already: install the tap first, and then call this with the
    /// [`Canvas`](crate::viewer::canvas::Canvas) locked, so that no newer picture comes before an older one.
    pub fn frame(&self, picture: &Framebuffer, changed: &Region, now: Instant) {
        self.0.put(picture, changed, now);
    }
}

/// A recording that runs. Dropping it ends it.
#[derive(Debug)]
pub struct Recorder {
    mailbox: Arc<Mailbox>,
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<Result<PathBuf, RecordError>>>,
}

/// What its owner may ask for while it runs.
#[derive(Debug)]
struct State {
    file: PathBuf,
    problem: Option<String>,
}

impl Recorder {
    /// Makes the first file and starts the thread.
    ///
    /// # Errors
    /// The folder is missing or cannot be written to.
    pub fn start(to: Destination, now: Instant) -> Result<Self, RecordError> {
        let (file, path) = to.create()?;
        let mailbox = Arc::new(Mailbox::default());
        let state = Arc::new(Mutex::new(State { file: path.clone(), problem: None }));
        let reel = Reel::new(to, file, path, now, Arc::clone(&state));
        let input = Arc::clone(&mailbox);
        let thread = spawn_named("recorder", move || run(reel, &input)).map_err(|_| RecordError::Thread)?;
        Ok(Self { mailbox, state, thread: Some(thread) })
    }

    /// Where to hand in pictures.
    pub fn tap(&self) -> Tap {
        Tap(Arc::clone(&self.mailbox))
    }

    /// The file that is written now: another one after the screen changed its size.
    pub fn file(&self) -> PathBuf {
        self.state.lock().expect(LOCK).file.clone()
    }

    /// A sentence for people, once the recording has failed; what came before is in the file.
    pub fn problem(&self) -> Option<String> {
        self.state.lock().expect(LOCK).problem.clone()
    }

    /// Ends the file and returns its name. Waits for the thread, which may be busy with a picture.
    ///
    /// # Errors
    /// Why it failed, if it had; or there was nothing to record.
    pub fn stop(mut self, now: Instant) -> Result<PathBuf, RecordError> {
        self.mailbox.close(now);
        let thread = self.thread.take().ok_or(RecordError::Thread)?;
        thread.join().map_err(|_| RecordError::Thread)?
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.mailbox.close(Instant::now());
        if let Some(thread) = self.thread.take() {
            // Whoever drops it does not ask how it went; the state has the problem.
            thread.join().ok();
        }
    }
}

/// The thread: pictures in, at a pace that leaves the processor to others; the end of the file at last.
fn run(mut reel: Reel, mailbox: &Mailbox) -> Result<PathBuf, RecordError> {
    let outcome = reel.record(mailbox).and_then(|end| reel.end(end));
    if let Err(error) = &outcome {
        mailbox.close(Instant::now());
        reel.drop_if_empty();
        let is_failure = !matches!(error, RecordError::Nothing);
        if is_failure {
            tracing::warn!(%error, "the recording failed");
            reel.state.lock().expect(LOCK).problem = Some(format!("The recording has stopped: {error}."));
        }
    }
    outcome
}

/// The files of one recording, one after another.
struct Reel {
    to: Destination,
    state: Arc<Mutex<State>>,
    /// The newest picture that was taken.
    picture: Framebuffer,
    film: Option<Film<File>>,
    /// Made for a film that has not begun.
    blank: Option<File>,
    path: PathBuf,
    /// When the first picture of the current file is shown.
    start: Instant,
    /// A file with pictures that is finished.
    finished: Option<PathBuf>,
}

impl Reel {
    fn new(to: Destination, file: File, path: PathBuf, start: Instant, state: Arc<Mutex<State>>) -> Self {
        let picture = Framebuffer::default();
        Self { to, state, picture, film: None, blank: Some(file), path, start, finished: None }
    }

    /// Records until the mailbox closes, and returns when that was.
    fn record(&mut self, mailbox: &Mailbox) -> Result<Instant, RecordError> {
        loop {
            let news = mailbox.take(&mut self.picture, STILL_INTERVAL);
            let begun = Instant::now();
            match news {
                News::Picture { at } => self.add(at)?,
                News::Quiet => self.repeat(begun)?,
                News::Closed(at) => return Ok(at),
            }
            // The session's own work goes first: at most half of one processor is for the recording.
            let busy = begun.elapsed();
            if !mailbox.is_closed() {
                std::thread::sleep(PICTURE_INTERVAL.saturating_sub(busy).max(busy));
            }
        }
    }

    /// A picture that is like this since `at`.
    fn add(&mut self, at: Instant) -> Result<(), RecordError> {
        let size = self.picture.size();
        if self.film.as_ref().is_some_and(|film| film.size() != size) {
            self.end_film(at)?;
        }
        if self.film.is_none() {
            let file = self.next_file()?;
            self.start = at;
            self.film = Some(Film::new(file, size)?);
        }
        let since = at.saturating_duration_since(self.start);
        match &mut self.film {
            Some(film) => film.picture(&self.picture, since).map_err(|error| self.explain(error)),
            None => Ok(()),
        }
    }

    fn repeat(&mut self, now: Instant) -> Result<(), RecordError> {
        let since = now.saturating_duration_since(self.start);
        match &mut self.film {
            Some(film) => film.still(&self.picture, since).map_err(|error| self.explain(error)),
            None => Ok(()),
        }
    }

    /// The one that waits for its first film, else a new one.
    fn next_file(&mut self) -> Result<File, RecordError> {
        if let Some(file) = self.blank.take() {
            return Ok(file);
        }
        let (file, path) = self.to.create()?;
        self.path.clone_from(&path);
        self.state.lock().expect(LOCK).file = path;
        Ok(file)
    }

    fn end_film(&mut self, at: Instant) -> Result<(), RecordError> {
        let Some(film) = self.film.take() else { return Ok(()) };
        if film.is_rolling() {
            self.finished = Some(self.path.clone());
        }
        let file =
            film.finish(at.saturating_duration_since(self.start)).map_err(|error| self.explain(error))?;
        // A power cut must not cost what its user believes to have.
        file.sync_all().map_err(|error| self.explain(WriteError::from(error).into()))
    }

    fn end(&mut self, at: Instant) -> Result<PathBuf, RecordError> {
        self.end_film(at)?;
        self.finished.clone().ok_or(RecordError::Nothing)
    }

    /// Takes away a file that nothing was written to.
    fn drop_if_empty(&self) {
        if fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() == 0) {
            // If it cannot be removed, an empty file is the smaller trouble.
            fs::remove_file(&self.path).ok();
        }
    }

    fn explain(&self, error: FilmError) -> RecordError {
        match error {
            FilmError::Write(WriteError::Io(error)) if error.kind() == io::ErrorKind::StorageFull => {
                RecordError::DiskFull(self.path.clone())
            }
            FilmError::Write(WriteError::Io(source)) => RecordError::Folder {
                folder: self.path.parent().map(Path::to_owned).unwrap_or_default(),
                source,
            },
            error => error.into(),
        }
    }
}
