//! The programs in `tests/c`, built against an installed library.

use crate::install::stage;
use crate::tool::{Outcome, Tool, in_package, run, scratch};
use libtest_mimic::Failed;
use std::path::PathBuf;
use std::process::Command;

#[derive(Clone, Copy)]
pub(crate) struct Program {
    name: &'static str,
    links: bool,
    valgrind: bool,
}

#[derive(Clone, Copy)]
pub(crate) enum Library {
    Static,
    Shared,
    /// What the program opens itself.
    None,
}

impl Program {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, links: true, valgrind: true }
    }

    /// It opens the shared library itself.
    pub(crate) const fn dynamic(self) -> Self {
        Self { links: false, ..self }
    }

    pub(crate) const fn without_valgrind(self, _reason: &str) -> Self {
        Self { valgrind: false, ..self }
    }

    pub(crate) const fn name(self) -> &'static str {
        self.name
    }

    pub(crate) const fn links(self) -> bool {
        self.links
    }

    pub(crate) const fn suits_valgrind(self) -> bool {
        self.valgrind
    }

    pub(crate) fn run(self, compiler: Tool, library: Library) -> Outcome {
        let suffix = if matches!(library, Library::Static) { "static" } else { "shared" };
        run(&mut self.command(self.compiled(compiler, self.library(library), suffix, &[])?))
    }

    pub(crate) fn sanitized(self, compiler: Tool) -> Outcome {
        let flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
        // What the epoch collector keeps for threads is reachable only from the middle, as for Valgrind.
        run(self
            .command(self.compiled(compiler, Library::Static, "sanitized", &flags)?)
            .env("LSAN_OPTIONS", format!("suppressions={}", in_package("tests/lsan.supp").display())))
    }

    pub(crate) fn under_valgrind(self, compiler: Tool, valgrind: Tool) -> Outcome {
        let program = self.compiled(compiler, self.library(Library::Shared), "valgrind", &[])?;
        run(valgrind
            .command()
            .args(["--quiet", "--error-exitcode=9", "--leak-check=full"])
            .arg(format!("--suppressions={}", in_package("tests/valgrind.supp").display()))
            .args(["--show-leak-kinds=definite,indirect,possible"])
            .args(["--errors-for-leak-kinds=definite,indirect,possible"])
            .arg(program)
            .arg(stage()?.join("lib/libconnlimit.so")))
    }

    const fn library(self, library: Library) -> Library {
        if self.links { library } else { Library::None }
    }

    fn command(self, program: PathBuf) -> Command {
        let mut command = Command::new(program);
        if let (false, Ok(stage)) = (self.links, stage()) {
            command.arg(stage.join("lib/libconnlimit.so"));
        }
        command
    }

    /// Builds the program and returns its path. Tests run side by side, so each has one of its own.
    fn compiled(self, compiler: Tool, library: Library, suffix: &str, flags: &[&str]) -> Result<PathBuf, Failed> {
        let stage = stage()?;
        let program = scratch().join(format!("{}-{suffix}", self.name));
        let mut command = compiler.command();
        command
            .args(["-std=c99", "-g", "-Wall", "-Wextra", "-pedantic", "-Werror"])
            .args(flags)
            .arg("-I")
            .arg(stage.join("include"))
            .arg(in_package(&format!("tests/c/{}.c", self.name)));
        match library {
            Library::Static => {
                command.arg(stage.join("lib/libconnlimit.a"));
            }
            Library::Shared => {
                let lib = stage.join("lib");
                command.arg("-L").arg(&lib).arg("-lconnlimit").arg(format!("-Wl,-rpath,{}", lib.display()));
            }
            Library::None => {}
        }
        run(command.args(["-lpthread", "-ldl", "-lm"]).arg("-o").arg(&program))?;
        Ok(program)
    }
}
