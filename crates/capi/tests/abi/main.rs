//! The ABI as C sees it: the checked-in header, an installed library, and programs that are built with `cc`.
//!
//! What cannot run here, for want of a compiler or of another tool, is reported as ignored, and says why.

mod header;
mod install;
mod program;
mod tool;

use libtest_mimic::{Arguments, Trial};
use program::{Library, Program};
use std::process::ExitCode;
use tool::Tool;

/// The programs in `tests/c`. Each says itself what it tries.
const PROGRAMS: [Program; 7] = [
    Program::new("smoke"),
    Program::new("config"),
    Program::new("numbers"),
    Program::new("arrivals"),
    Program::new("process").without_valgrind("it would count the memory of each child"),
    Program::new("memory").without_valgrind("its allocator is not the one that is measured"),
    Program::new("unload").dynamic(),
];

fn main() -> ExitCode {
    let c = Tool::find("CC", "cc");
    let cxx = Tool::find("CXX", "c++");
    let valgrind = Tool::find("VALGRIND", "valgrind");
    let make = Tool::find("MAKE", "make").and(c);
    let pkg_config = Tool::find("PKG_CONFIG", "pkg-config");
    let cmake = Tool::find("CMAKE", "cmake");

    let mut tests = vec![Trial::test("the_header_is_what_the_sources_say", header::fresh)];
    for standard in ["c99", "c11", "c17", "c2x"] {
        tests.push(c.test(format!("the_header_alone_is_{standard}"), move || header::alone(c, "c", standard)));
    }
    for standard in ["c++11", "c++14", "c++17", "c++20"] {
        let name = standard.replace('+', "p");
        tests.push(cxx.test(format!("the_header_alone_is_{name}"), move || header::alone(cxx, "c++", standard)));
    }
    for (language, standard) in [("c", "c99"), ("c", "c2x"), ("c++", "c++11"), ("c++", "c++17")] {
        let name = format!("an_admission_without_a_look_warns_in_{}", standard.replace('+', "p"));
        let compiler = if language == "c" { c } else { cxx };
        tests.push(compiler.test(name, move || header::ignored_status(compiler, language, standard)));
    }
    tests.push(make.test("an_installed_library_says_which_it_is", install::names));
    tests.push(make.and(pkg_config).and(cmake).test("the_commands_of_the_readme_work", install::readme));
    for program in PROGRAMS {
        let name = program.name();
        if program.links() {
            tests.push(
                make.test(format!("{name}_runs_with_the_static_library"), move || program.run(c, Library::Static)),
            );
            tests.push(make.test(format!("{name}_runs_under_sanitizers"), move || program.sanitized(c)));
        }
        tests.push(make.test(format!("{name}_runs_with_the_shared_library"), move || program.run(c, Library::Shared)));
        if program.suits_valgrind() {
            tests.push(
                make.and(valgrind)
                    .test(format!("{name}_has_no_fault_under_valgrind"), move || program.under_valgrind(c, valgrind)),
            );
        }
    }
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}
