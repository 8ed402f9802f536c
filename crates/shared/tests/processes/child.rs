//! A process in some role, with the region as its standard input.

use connlimit_shared::SharedLimiter;
use std::env;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

pub(crate) struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
    /// Its number may be another process' by now.
    is_gone: bool,
}

impl Process {
    pub(crate) fn start(role: &str, limiter: &SharedLimiter, settings: &[(&str, String)]) -> Self {
        let region = limiter.descriptor().unwrap();
        Self::spawn(Command::new(env::current_exe().unwrap()).stdin(region), role, settings)
    }

    /// One that finds its region by itself.
    pub(crate) fn alone(role: &str, settings: &[(&str, String)]) -> Self {
        Self::spawn(Command::new(env::current_exe().unwrap()).stdin(Stdio::null()), role, settings)
    }

    fn spawn(command: &mut Command, role: &str, settings: &[(&str, String)]) -> Self {
        command.env("CONNLIMIT_ROLE", role).envs(settings.iter().map(|(name, value)| (name, value)));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output, is_gone: false }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().try_into().unwrap()
    }

    /// Waits for the line that the role prints when it is ready.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the process ended without a word");
        line.trim_end().to_owned()
    }

    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: it sends a signal to a child that has not been waited for.
        assert_eq!(unsafe { libc::kill(self.pid(), signal) }, 0);
    }

    /// `SIGSTOP`, until it has stopped.
    pub(crate) fn stop(&self) {
        self.signal(libc::SIGSTOP);
        let mut status = 0;
        // SAFETY: `status` is written.
        assert_eq!(unsafe { libc::waitpid(self.pid(), &raw mut status, libc::WUNTRACED) }, self.pid());
        assert!(libc::WIFSTOPPED(status), "{status:x}");
    }

    /// `SIGKILL`, until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        assert_eq!(self.child.wait().unwrap().signal(), Some(libc::SIGKILL));
    }

    /// By other means than this.
    pub(crate) fn was_waited_for(&mut self) {
        self.is_gone = true;
    }

    pub(crate) fn wait(mut self) -> ExitStatus {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        self.child.wait().unwrap()
    }
}

/// What is left when a test fails.
impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_gone && !matches!(self.child.try_wait(), Ok(Some(_))) {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
