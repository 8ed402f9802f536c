//! The ABI as C sees it: the checked-in header, and a program that is built with `cc` against both libraries.
//!
//! What cannot run here, for want of a compiler or of Valgrind, is reported as ignored, and says why.

use libtest_mimic::{Arguments, Failed, Trial};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::OnceLock;

type Outcome = Result<(), Failed>;

const MANIFEST_DIR: &str = env!("CARGO_MANIFEST_DIR");

fn main() -> ExitCode {
    let c = Tool::find("CC", "cc");
    let cxx = Tool::find("CXX", "c++");
    let valgrind = Tool::find("VALGRIND", "valgrind");
    let tests = vec![
        Trial::test("the_header_is_what_the_sources_say", header),
        c.test("the_header_alone_is_c99", move || header_alone(c, &["-x", "c", "-std=c99"])),
        cxx.test("the_header_alone_is_cpp", move || header_alone(cxx, &["-x", "c++", "-std=c++11"])),
        c.test("a_c_program_runs_with_the_static_library", move || {
            run(&mut Command::new(smoke(c, Library::Static, "smoke-static")?))
        }),
        c.test("a_c_program_runs_with_the_shared_library", move || {
            run(&mut Command::new(smoke(c, Library::Shared, "smoke-shared")?))
        }),
        c.test("the_example_in_the_readme_builds_and_runs", move || readme(c)),
        valgrind.and(c).test("valgrind_finds_no_fault", move || {
            run(Command::new(valgrind.name)
                .args(["--quiet", "--error-exitcode=9", "--leak-check=full"])
                .arg(format!("--suppressions={}", in_package("tests/valgrind.supp").display()))
                .args(["--show-leak-kinds=definite,indirect,possible"])
                .args(["--errors-for-leak-kinds=definite,indirect,possible"])
                .arg(smoke(c, Library::Shared, "smoke-valgrind")?))
        }),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

/// A program that the machine may lack.
#[derive(Clone, Copy)]
struct Tool {
    name: &'static str,
    missing: Option<&'static str>,
}

impl Tool {
    /// The program that `variable` names, or else `default`.
    fn find(variable: &str, default: &'static str) -> Self {
        let name = env::var(variable).map_or(default, |name| &*name.leak());
        let works = Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
        Self { name, missing: (!works).then_some(name) }
    }

    /// This one, missing also when the other is.
    fn and(self, other: Self) -> Self {
        Self { missing: self.missing.or(other.missing), ..self }
    }

    fn test(self, test: &str, body: impl FnOnce() -> Outcome + Send + 'static) -> Trial {
        if let Some(missing) = self.missing {
            eprintln!("\nNOT TESTED: {test}, because `{missing}` is missing or does not work\n");
        }
        Trial::test(test, body).with_ignored_flag(self.missing.is_some())
    }
}

fn header() -> Outcome {
    let path = in_package("include/connlimit.h");
    let mut now = Vec::new();
    cbindgen::Builder::new()
        .with_crate(MANIFEST_DIR)
        .with_config(cbindgen::Config::from_file(in_package("cbindgen.toml"))?)
        .generate()?
        .write(&mut now);
    if env::var_os("CONNLIMIT_RENEW_HEADER").is_some() {
        fs::write(&path, &now)?;
    }
    let kept = fs::read(&path)?;
    if now == kept {
        return Ok(());
    }
    let now = String::from_utf8(now)?;
    let kept = String::from_utf8(kept)?;
    let differ = now.lines().zip(kept.lines()).position(|(a, b)| a != b);
    Err(format!(
        "include/connlimit.h is stale from line {} on; renew it as README.md says",
        1 + differ.unwrap_or(now.lines().count().min(kept.lines().count()))
    )
    .into())
}

fn header_alone(compiler: Tool, language: &[&str]) -> Outcome {
    run(Command::new(compiler.name)
        .args(language)
        .args(["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"])
        .arg(in_package("include/connlimit.h")))
}

#[derive(Clone, Copy)]
enum Library {
    Static,
    Shared,
}

/// Builds the smoke test and returns its path. Tests run side by side, so each has a program of its own.
fn smoke(compiler: Tool, library: Library, name: &str) -> Result<PathBuf, Failed> {
    compile(compiler, library, &in_package("tests/smoke.c"), name)
}

/// Builds the program in the README and runs it.
fn readme(compiler: Tool) -> Outcome {
    let readme = fs::read_to_string(in_package("README.md"))?;
    let program =
        readme.split_once("```c\n").and_then(|(_, rest)| rest.split_once("```")).ok_or("no C example in README.md")?.0;
    let source = scratch().join("readme.c");
    fs::write(&source, program)?;
    run(&mut Command::new(compile(compiler, Library::Static, &source, "readme")?))
}

fn compile(compiler: Tool, library: Library, source: &Path, name: &str) -> Result<PathBuf, Failed> {
    let libraries = libraries()?;
    let mut command = Command::new(compiler.name);
    command
        .args(["-std=c99", "-g", "-Wall", "-Wextra", "-pedantic", "-Werror"])
        .arg("-I")
        .arg(in_package("include"))
        .arg(source);
    match library {
        Library::Static => command.arg(libraries.join("libconnlimit_capi.a")),
        Library::Shared => {
            command.arg("-L").arg(libraries).arg("-lconnlimit_capi").arg(format!("-Wl,-rpath,{}", libraries.display()))
        }
    };
    let program = scratch().join(name);
    command.args(["-lpthread", "-ldl", "-lm"]).arg("-o").arg(&program);
    run(&mut command)?;
    Ok(program)
}

/// Builds both libraries, once, and returns the folder they are in. Cargo does so for tests in Rust only.
fn libraries() -> Result<&'static Path, Failed> {
    static LIBRARIES: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = LIBRARIES.get_or_init(|| {
        let target = scratch().join("libraries");
        run(Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--locked", "--lib", "--target-dir"])
            .arg(&target)
            .current_dir(MANIFEST_DIR))
        .map_err(|failed| failed.message().unwrap_or_default().to_owned())?;
        Ok(target.join("debug"))
    });
    Ok(built.as_ref()?)
}

/// Runs a command to its end. When it fails, what it wrote is the message.
fn run(command: &mut Command) -> Outcome {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
    .into())
}

fn in_package(path: &str) -> PathBuf {
    Path::new(MANIFEST_DIR).join(path)
}

fn scratch() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}
