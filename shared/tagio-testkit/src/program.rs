//! A child process whose lines a test can wait for, and which never outlives the test.

use std::{
    ffi::OsStr,
    fmt,
    io::{BufRead as _, BufReader, Read, Write as _},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::eventually;

/// How long the last lines of an ended process may take to be read.
const LAST_LINES_LIMIT: Duration = Duration::from_secs(2);

/// Which of its streams a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// What scripts read.
    Out,
    /// Logs and errors.
    Err,
}

/// What was said, and how long after the start.
type Lines = Arc<Mutex<Vec<(Stream, String, Duration)>>>;

/// A running program.
pub struct Program {
    name: String,
    child: Child,
    start: Instant,
    lines: Lines,
    readers: Vec<JoinHandle<()>>,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// All lines of stdout.
    pub out: Vec<String>,
    /// All lines of stderr.
    pub err: Vec<String>,
}

impl Program {
    /// Starts it with piped output and no input. The name is for failure messages.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(name: impl Into<String>, command: &mut Command) -> Self {
        let name = name.into();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let start = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let lines = Arc::default();
        let out = child.stdout.take().map(|out| read_lines(Stream::Out, out, start, &lines));
        let err = child.stderr.take().map(|err| read_lines(Stream::Err, err, start, &lines));
        Self { name, child, start, lines, readers: out.into_iter().chain(err).collect() }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The first stdout line, from the first one on, for which `wanted` holds.
    pub fn wait_line(&self, wanted: impl Fn(&str) -> bool, limit: Duration) -> Result<String> {
        self.wait_line_after(0, wanted, limit)
    }

    /// The same, but the first `skip` lines of stdout do not count; see [`Program::lines_so_far`].
    pub fn wait_line_after(
        &self,
        skip: usize,
        wanted: impl Fn(&str) -> bool,
        limit: Duration,
    ) -> Result<String> {
        eventually(limit, || self.lines_of(Stream::Out).into_iter().skip(skip).find(|line| wanted(line)))
            .with_context(|| {
                format!("{} did not print the awaited line within {limit:?}\n{self:?}", self.name)
            })
    }

    /// The rest of the first stdout line that starts with this word and a blank, or is the word.
    ///
    /// # Panics
    /// When it does not come in time.
    #[track_caller]
    pub fn word(&self, word: &str, limit: Duration) -> String {
        self.word_after(0, word, limit)
    }

    /// The same, but the first `skip` lines of stdout do not count.
    ///
    /// # Panics
    /// When it does not come in time.
    #[track_caller]
    pub fn word_after(&self, skip: usize, word: &str, limit: Duration) -> String {
        match self.wait_line_after(skip, |line| rest_after(line, word).is_some(), limit) {
            Ok(line) => rest_after(&line, word).unwrap_or_default().to_owned(),
            Err(error) => panic!("waiting for `{word}`: {error}"),
        }
    }

    /// How long ago it was started.
    pub fn age(&self) -> Duration {
        self.start.elapsed()
    }

    /// How long after its start the first such line of stdout came; `None` when it does not within the limit.
    pub fn time_of(&self, wanted: impl Fn(&str) -> bool, limit: Duration) -> Option<Duration> {
        let is_wanted = |(from, line, _): &&(Stream, String, Duration)| *from == Stream::Out && wanted(line);
        eventually(limit, || self.lock().iter().find(is_wanted).map(|(_, _, after)| *after))
    }

    /// How many lines stdout has, as a mark to wait for later ones.
    pub fn lines_so_far(&self) -> usize {
        self.lines_of(Stream::Out).len()
    }

    /// All lines of one stream so far.
    pub fn lines_of(&self, stream: Stream) -> Vec<String> {
        self.lock().iter().filter(|(from, ..)| *from == stream).map(|(_, line, _)| line.clone()).collect()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to end, as a service manager does (SIGTERM).
    #[cfg(unix)]
    pub fn terminate(&self) {
        signal(self.pid(), "TERM");
    }

    /// Ends it without asking (SIGKILL), and waits until it is gone.
    pub fn kill(&mut self) {
        // It may be gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// When it does not within the limit.
    #[track_caller]
    pub fn wait_exit(&mut self, limit: Duration) -> Ended {
        let status = eventually(limit, || self.child.try_wait().ok().flatten());
        let Some(status) = status else { panic!("{} still runs after {limit:?}\n{self:?}", self.name) };
        // A grandchild may hold the pipes open for longer.
        eventually(LAST_LINES_LIMIT, || self.readers.iter().all(JoinHandle::is_finished).then_some(()));
        Ended { status, out: self.lines_of(Stream::Out), err: self.lines_of(Stream::Err) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Stream, String, Duration)>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "---- {} (process {})", self.name, self.pid())?;
        for (stream, line, _) in self.lock().iter() {
            writeln!(f, "{} {line}", if *stream == Stream::Out { "out|" } else { "err|" })?;
        }
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("{self:?}");
        }
    }
}

/// Where a program is, also one for administrators, whose folders are not in every user's `PATH`.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let administrators = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let folders = std::env::split_paths(&path).chain(administrators);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Runs a short command to its end.
pub fn run<S: AsRef<OsStr>>(program: &str, args: &[S]) -> Result<String> {
    let output =
        Command::new(program).args(args).output().with_context(|| format!("{program} does not run"))?;
    if !output.status.success() {
        let args: Vec<_> = args.iter().map(AsRef::as_ref).collect();
        bail!("{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a short command to its end that reads this text.
pub(crate) fn run_fed(program: &str, args: &[&str], input: &str) -> Result<()> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("{program} does not run"))?;
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // One that ends early says why itself.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// By the shell's own `kill`, which is there where the program of that name is not installed.
#[cfg(unix)]
fn signal(pid: u32, name: &str) {
    let sent = run("sh", &["-c", &format!("kill -{name} {pid}")]);
    assert!(sent.is_ok(), "cannot send SIG{name} to process {pid}: {sent:?}");
}

/// The text after a leading word.
pub fn rest_after<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(word)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(' ') }
}

fn read_lines(
    stream: Stream,
    from: impl Read + Send + 'static,
    start: Instant,
    to: &Lines,
) -> JoinHandle<()> {
    let to = Arc::clone(to);
    thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
            if std::env::var_os("TAGIO_TEST_TRACE").is_some() {
                let _ = writeln!(std::io::stderr(), "{stream:?}| {line}");
            }
            to.lock().unwrap_or_else(PoisonError::into_inner).push((stream, line, start.elapsed()));
        }
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Program {
        Program::start("shell", Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn lines_and_status_arrive() {
        let mut program = shell("echo id 123; echo trouble >&2; exit 3");
        assert_eq!(program.word("id", LIMIT), "123");
        let ended = program.wait_exit(LIMIT);
        assert_eq!((ended.status.code(), ended.err), (Some(3), vec!["trouble".to_owned()]));
    }

    #[test]
    fn a_missing_line_is_an_error_that_shows_what_came_instead() {
        let program = shell("echo something else; sleep 60");
        program.word("something", LIMIT);
        let error =
            program.wait_line(|line| line == "id", Duration::from_millis(50)).expect_err("no such line");
        assert!(error.to_string().contains("out| something else"), "{error}");
    }

    #[test]
    fn termination_is_asked_for_and_a_drop_leaves_nothing() {
        let mut program = shell("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done");
        program.word("ready", LIMIT);
        program.terminate();
        assert_eq!(program.wait_exit(LIMIT).out, ["ready", "bye"]);
        let pid = shell("exec sleep 60").pid();
        assert!(run("sh", &["-c", &format!("kill -0 {pid}")]).is_err(), "process {pid} is still there");
    }
}
