//! Options from the command line, and raw results in files that say where they come from.

use core::fmt::Display;
use core::str::FromStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::Command;
use std::{env, thread};

/// `--name value` pairs of the command line.
pub(crate) struct Options {
    pairs: Vec<(String, String)>,
    /// Whether this is a benchmark and not `cargo test --all-targets`, which only wants to see it work.
    pub(crate) measured: bool,
}

impl Options {
    /// Ends the process with a message when there is an option that is not in `known`.
    pub(crate) fn parse(known: &[&str]) -> Self {
        let mut options = Self { pairs: Vec::new(), measured: false };
        let mut words = env::args().skip(1);
        while let Some(word) = words.next() {
            if word == "--bench" {
                options.measured = true; // cargo says so
                continue;
            }
            let name = word.strip_prefix("--").filter(|name| known.contains(name));
            let (Some(name), Some(value)) = (name, words.next()) else {
                fail(&format!("unknown option or no value: {word}; known: {known:?}"));
            };
            options.pairs.push((name.to_owned(), value));
        }
        options
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let pair = self.pairs.iter().rev().find(|pair| pair.0 == name);
        pair.map(|pair| pair.1.as_str())
    }

    pub(crate) fn number<T: FromStr>(&self, name: &str, default: T) -> T {
        self.text(name).map_or(default, |text| parsed(name, text))
    }

    pub(crate) fn numbers<T: FromStr + Clone>(&self, name: &str, default: &[T]) -> Vec<T> {
        self.text(name).map_or(default.to_vec(), |text| text.split(',').map(|one| parsed(name, one)).collect())
    }

    /// Whether the comma-separated list `name`, if given, has a prefix of `item`.
    pub(crate) fn selects(&self, name: &str, item: &str) -> bool {
        self.text(name).is_none_or(|text| text.split(',').any(|prefix| item.starts_with(prefix)))
    }
}

fn parsed<T: FromStr>(name: &str, text: &str) -> T {
    text.parse().unwrap_or_else(|_| fail(&format!("--{name} {text}: not a number in range")))
}

fn fail(message: &str) -> ! {
    eprintln!("{message}");
    std::process::exit(2)
}

/// A file of comma-separated values below `benches/results`, headed by where, when and how it was made.
pub(crate) struct Results {
    file: BufWriter<File>,
    path: PathBuf,
}

impl Results {
    /// `name` is that of the benchmark; what the option `--save` says is appended.
    pub(crate) fn create(name: &str, options: &Options, columns: &str) -> io::Result<Self> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("results");
        fs::create_dir_all(&folder)?;
        let save = options.text("save").unwrap_or("scratch");
        let path = folder.join(format!("{name}-{save}.csv"));
        let mut file = BufWriter::new(File::create(&path)?);
        for (what, text) in provenance(name) {
            writeln!(file, "# {what}: {text}")?;
        }
        writeln!(file, "{columns}")?;
        Ok(Self { file, path })
    }

    pub(crate) fn row(&mut self, cells: &[&dyn Display]) -> io::Result<()> {
        let cells: Vec<String> = cells.iter().map(ToString::to_string).collect();
        writeln!(self.file, "{}", cells.join(","))
    }

    /// Writes everything out and says where it is.
    pub(crate) fn close(mut self) -> io::Result<()> {
        self.file.flush()?;
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let path = self.path.strip_prefix(root).unwrap_or(&self.path);
        println!("\nRaw data: {}", path.display());
        Ok(())
    }
}

/// What one has to know to judge a number, or to repeat it.
pub(crate) fn provenance(name: &str) -> [(&'static str, String); 6] {
    let arguments: Vec<String> = env::args().skip(1).filter(|one| one != "--bench").collect();
    let changed = !output("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
    let commit = output("git", &["rev-parse", "HEAD"]);
    let cores = thread::available_parallelism().map_or(0, usize::from);
    [
        ("command", format!("cargo bench -p connlimit-benches --bench {name} -- {}", arguments.join(" "))),
        ("commit", commit + if changed { " with local changes" } else { "" }),
        ("rustc", output("rustc", &["-V"])),
        ("processor", format!("{}, {cores} cores", processor())),
        ("system", output("uname", &["-srm"])),
        ("date", output("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
    ]
}

fn processor() -> String {
    let info = output("lscpu", &[]);
    let model = info.lines().find_map(|line| line.strip_prefix("Model name:"));
    model.unwrap_or("unknown").trim().to_owned()
}

/// What a program prints, trimmed; nothing when it cannot be run.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    output.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A line of a Markdown table.
pub(crate) fn markdown(cells: impl IntoIterator<Item = impl Display>) {
    let cells: Vec<String> = cells.into_iter().map(|cell| cell.to_string()).collect();
    println!("| {} |", cells.join(" | "));
}

/// The middle of the values, the upper one of two. There must be one.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
