//! `make install`, and what the README says to do with what it puts down.

use crate::tool::{Outcome, in_package, output, run, scratch};
use libtest_mimic::Failed;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where the library is installed, once for all tests.
pub(crate) fn stage() -> Result<&'static Path, Failed> {
    static STAGE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let stage = STAGE.get_or_init(|| {
        let stage = scratch().join("stage");
        installed(&stage).map_err(|failed| failed.message().unwrap_or_default().to_owned())?;
        Ok(stage)
    });
    Ok(stage.as_ref()?)
}

fn installed(prefix: &Path) -> Outcome {
    run(make().arg("install").arg(format!("PREFIX={}", prefix.display())))
}

fn make() -> Command {
    let mut make = Command::new("make");
    make.arg("-C")
        .arg(in_package(""))
        .arg(format!("TARGET_DIR={}", scratch().join("libraries").display()))
        .arg(format!("CARGO={} --quiet", env!("CARGO")))
        .arg("PROFILE=dev");
    make
}

/// The names under which programs and the loader look for the library, and the version that each place has.
pub(crate) fn names() -> Outcome {
    let stage = stage()?;
    let (major, minor) = (env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"));
    let soname = format!("libconnlimit.so.{major}.{minor}");
    let dynamic = output(Command::new("readelf").arg("-d").arg(stage.join("lib/libconnlimit.so")))?;
    assert!(dynamic.contains(&format!("soname: [{soname}]")), "{dynamic}");
    for name in [&soname, "libconnlimit.so", &format!("libconnlimit.so.{}", env!("CARGO_PKG_VERSION"))] {
        assert!(stage.join("lib").join(name).exists(), "{name}");
    }
    let pc = fs::read_to_string(stage.join("lib/pkgconfig/connlimit.pc"))?;
    assert!(pc.contains(&format!("\nVersion: {}\n", env!("CARGO_PKG_VERSION"))), "{pc}");

    // Where it all goes again, and where a packager puts it.
    let root = scratch().join("root");
    let dirs = [format!("DESTDIR={}", root.display()), "PREFIX=/usr".to_owned(), "LIBDIR=/usr/lib64".to_owned()];
    run(make().arg("install").args(&dirs))?;
    assert!(root.join("usr/lib64").join(&soname).exists());
    assert!(root.join("usr/include/connlimit.h").exists());
    run(make().arg("uninstall").args(&dirs))?;
    assert!(!root.join("usr/lib64").join(&soname).exists());
    assert!(!root.join("usr/include/connlimit.h").exists());
    Ok(())
}

/// Runs every command of the README with its program, installed in a place of the test's.
pub(crate) fn readme() -> Outcome {
    let readme = fs::read_to_string(in_package("README.md"))?;
    let stage = stage()?.display().to_string();
    let folder = scratch().join("readme");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("server.c"), blocks(&readme, "c").next().ok_or("no C program in README.md")?)?;
    fs::write(folder.join("CMakeLists.txt"), blocks(&readme, "cmake").next().ok_or("no CMake file in README.md")?)?;
    let mut programs = 0;
    for commands in blocks(&readme, "sh") {
        if commands.starts_with("make ") {
            // `stage` has run it, with a profile that is built faster.
            assert!(commands.contains("make -C crates/capi install PREFIX=/usr/local"));
            continue;
        }
        let _none_yet = fs::remove_file(folder.join("server"));
        let said = output(
            Command::new("sh")
                .args(["-e", "-c", &commands.replace("/usr/local", &stage)])
                .env("PKG_CONFIG_PATH", format!("{stage}/lib/pkgconfig"))
                .current_dir(&folder),
        )?;
        assert!(said.ends_with("no error\nno error\nclient connection limit reached\n"), "{said}");
        programs += 1;
    }
    assert_eq!(programs, 3, "shared, static, and with CMake");
    Ok(())
}

/// The code blocks of one language.
fn blocks<'a>(text: &'a str, language: &str) -> impl Iterator<Item = &'a str> {
    let fence = format!("```{language}\n");
    let starts: Vec<_> = text.match_indices(&fence).map(|(at, _)| at + fence.len()).collect();
    starts.into_iter().filter_map(|start| text[start..].split("```").next())
}
