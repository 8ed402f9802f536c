//! The checked-in header: what the sources say, with the texts in `header/` at its top.

use crate::tool::{Outcome, Tool, in_package, run, scratch};
use std::env;
use std::fs;

/// Compares the header with the sources, or writes it anew.
pub(crate) fn fresh() -> Outcome {
    let path = in_package("include/connlimit.h");
    let now = generated()?;
    if env::var_os("CONNLIMIT_RENEW_HEADER").is_some() {
        fs::write(&path, &now)?;
    }
    let kept = fs::read_to_string(&path)?;
    if now == kept {
        return Ok(());
    }
    let differ = now.lines().zip(kept.lines()).position(|(a, b)| a != b);
    Err(format!(
        "include/connlimit.h is stale from line {} on; renew it as README.md says",
        1 + differ.unwrap_or(now.lines().count().min(kept.lines().count()))
    )
    .into())
}

fn generated() -> Result<String, Box<dyn core::error::Error>> {
    let mut config = cbindgen::Config::from_file(in_package("cbindgen.toml"))?;
    config.header = Some(fs::read_to_string(in_package("header/top.h"))?);
    let macros = fs::read_to_string(in_package("header/macros.h"))?
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@MAJOR@", env!("CARGO_PKG_VERSION_MAJOR"))
        .replace("@MINOR@", env!("CARGO_PKG_VERSION_MINOR"))
        .replace("@PATCH@", env!("CARGO_PKG_VERSION_PATCH"));
    config.after_includes = Some(macros);
    let mut now = Vec::new();
    cbindgen::Builder::new().with_crate(env!("CARGO_MANIFEST_DIR")).with_config(config).generate()?.write(&mut now);
    Ok(without_duties(&String::from_utf8(now)?))
}

/// The duties that Rust wants spelt out at each function stand once at the top of the header, where C looks for them.
fn without_duties(header: &str) -> String {
    let mut kept = Vec::new();
    let mut in_duties = false;
    for line in header.lines() {
        if line.trim() == "* # Safety" {
            in_duties = true;
            while kept.last().is_some_and(|last: &&str| last.trim() == "*") {
                kept.pop();
            }
        }
        if line.trim() == "*/" {
            in_duties = false;
        }
        if !in_duties {
            kept.push(line);
        }
    }
    kept.join("\n") + "\n"
}

/// The header and what its macros expand to, in one language, with all warnings as errors.
pub(crate) fn alone(compiler: Tool, language: &str, standard: &str) -> Outcome {
    let source = scratch().join(format!("header-{standard}"));
    fs::write(
        &source,
        "#include <connlimit.h>\n\
         connlimit_permit a_permit = CONNLIMIT_PERMIT_INIT;\n\
         int main(void) { return CONNLIMIT_VERSION_NUMBER == 0 || CONNLIMIT_UNSET == 0; }\n",
    )?;
    run(compiler
        .command()
        .args(["-x", language, &format!("-std={standard}")])
        .args(["-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Werror", "-fsyntax-only"])
        .arg("-I")
        .arg(in_package("include"))
        .arg(source))
}

/// A status of an admission that is ignored has to be warned about.
pub(crate) fn ignored_status(compiler: Tool, language: &str, standard: &str) -> Outcome {
    let source = scratch().join(format!("ignored-{standard}"));
    fs::write(
        &source,
        "#include <connlimit.h>\n\
         void f(connlimit_limiter *l, connlimit_permit *p) { connlimit_try_acquire_ip(l, \"abcd\", 4, p); }\n",
    )?;
    let output = compiler
        .command()
        .args(["-x", language, &format!("-std={standard}"), "-Werror", "-c", "-o", "/dev/null", "-I"])
        .arg(in_package("include"))
        .arg(source)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() || !(said.contains("warn_unused_result") || said.contains("nodiscard")) {
        return Err(format!("no warning about an ignored status: {said}").into());
    }
    Ok(())
}
