//! Programs that the machine may lack, and what they make.

use libtest_mimic::{Failed, Trial};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) type Outcome = Result<(), Failed>;

/// A program that the machine may lack.
#[derive(Clone, Copy)]
pub(crate) struct Tool {
    name: &'static str,
    missing: Option<&'static str>,
}

impl Tool {
    /// The program that `variable` names, or else `default`.
    pub(crate) fn find(variable: &str, default: &'static str) -> Self {
        let name = env::var(variable).map_or(default, |name| &*name.leak());
        let works = Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
        Self { name, missing: (!works).then_some(name) }
    }

    /// This one, missing also when the other is.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { missing: self.missing.or(other.missing), ..self }
    }

    pub(crate) fn command(self) -> Command {
        Command::new(self.name)
    }

    pub(crate) fn test(self, test: impl Into<String>, body: impl FnOnce() -> Outcome + Send + 'static) -> Trial {
        let test = test.into();
        if let Some(missing) = self.missing {
            eprintln!("\nNOT TESTED: {test}, because `{missing}` is missing or does not work\n");
        }
        Trial::test(test, body).with_ignored_flag(self.missing.is_some())
    }
}

/// Runs a command to its end. When it fails, what it wrote is the message.
pub(crate) fn run(command: &mut Command) -> Outcome {
    output(command).map(drop)
}

/// Runs a command to its end, and returns what it wrote to its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, Failed> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    Err(format!("{command:?}: {}\n{stdout}{}", output.status, String::from_utf8_lossy(&output.stderr)).into())
}

pub(crate) fn in_package(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub(crate) fn scratch() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}
