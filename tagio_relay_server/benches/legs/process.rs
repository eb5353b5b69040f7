//! Programs that are measured: on a core of their own, ended with this one.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{self, Child, Command, Stdio},
};

/// Of what is measured.
pub(crate) const MEASURED_CORE: usize = 0;
/// Of everything else.
pub(crate) const LOAD_CORE: usize = 1;

/// See the module.
pub(crate) struct Process(Child);

impl Process {
    /// Starts `program` on its core.
    pub(crate) fn start(program: impl AsRef<Path>, arguments: &[&str]) -> Self {
        Self::start_on(&[MEASURED_CORE], program, arguments)
    }

    /// Starts `program` on any of these cores.
    pub(crate) fn start_on(cores: &[usize], program: impl AsRef<Path>, arguments: &[&str]) -> Self {
        let cores: Vec<_> = cores.iter().map(ToString::to_string).collect();
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", &cores.join(",")]).arg(program.as_ref()).args(arguments);
        for variable in ["PORT", "PUBLIC_IP", "AUTH_SECRET"] {
            command.env_remove(variable);
        }
        Self(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap())
    }

    /// The first line that it writes.
    pub(crate) fn first_line(&mut self) -> String {
        self.line_with("")
    }

    /// The first line that it writes which begins so. No more can be read afterwards.
    pub(crate) fn line_with(&mut self, start: &str) -> String {
        let lines = BufReader::new(self.0.stdout.take().unwrap()).lines();
        let found = lines.map(Result::unwrap).find(|line| line.starts_with(start));
        found.expect("it ended before it served")
    }

    /// Processor time so far with that of its children, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let own = self.0.id();
        let all = processes().filter(|pid| *pid == own || parent(*pid) == Some(own));
        all.map(cpu_seconds_of).sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn processes() -> impl Iterator<Item = u32> {
    let names = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    names.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// proc(5); `None` where the process is gone.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the program's name, which may hold spaces: its state, its parent.
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}

/// Processor time of all threads that live, in seconds. `stat` counts ticks of 10 ms, which is too much for a process of two hundred.
pub(crate) fn cpu_seconds_of(pid: u32) -> f64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0.0 };
    let times = threads.filter_map(Result::ok).filter_map(|thread| {
        let times = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        times.split_whitespace().next()?.parse::<u64>().ok()
    });
    times.sum::<u64>() as f64 / 1e9
}

/// Keeps this process, and the threads that it starts from now on, to one core.
pub(crate) fn pin_this(core: usize) {
    let (core, pid) = (core.to_string(), process::id().to_string());
    let pinned =
        Command::new("taskset").args(["--cpu-list", "--pid", &core, &pid]).stdout(Stdio::null()).status();
    assert!(pinned.unwrap().success(), "this needs a second core");
}
