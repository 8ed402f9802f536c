//! A fleet on this computer, in one command: it starts a Redis server and three machines (processes with a socket each),
//! lets one client connect everywhere, and shows where each connection went. Then a machine is killed, then the engine.
//! The client counts what it holds, and the program fails if that is ever above the limit.
//!
//! ```text
//! cargo run --example three_machines
//! ```
//!
//! In a terminal the table is live; elsewhere it is printed when something has happened.
#![allow(clippy::std_instead_of_core, reason = "an example has the standard library")]
#![allow(clippy::format_push_string, reason = "it is drawn twenty times a second")]

use connlimit::{Config, Limiter};
use connlimit_fleet::{Fleet, Terms, engine::Redis};
use std::io::{IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::sleep;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const LIMIT: u32 = 12;
const MACHINES: u32 = 3;
const TTL: Duration = Duration::from_secs(2);
/// All of 127.0.0.0/8 is this computer: this is the client.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let outcome = match arguments.as_slice() {
        [] => show().await,
        [role, engine] if role == "machine" => machine(engine).await,
        _ => Err("run it without arguments".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

// A machine: what a server does.

async fn machine(engine: &str) -> Result<(), Failure> {
    // Enough for the share; the fleet's limit is in the terms.
    let limiter = Limiter::new(Config::new(LIMIT));
    let terms = Terms::new(LIMIT).seats(MACHINES).share(1).ttl(TTL);
    let fleet = Fleet::join(Redis::open(engine)?, limiter, terms).await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("listening {}", listener.local_addr()?);
    tokio::spawn(report(fleet.clone()));
    loop {
        let (mut stream, peer) = listener.accept().await?;
        let fleet = fleet.clone();
        tokio::spawn(async move {
            let Ok(permit) = fleet.acquire(peer).await else {
                let _gone = stream.write_all(b"-").await;
                return;
            };
            let _gone = stream.write_all(b"+").await;
            // Served until the client goes.
            while stream.read(&mut [0; 64]).await.is_ok_and(|length| length > 0) {}
            drop(permit);
        });
    }
}

async fn report(fleet: Fleet) {
    loop {
        let stats = fleet.stats();
        let open = fleet.limiter().open_connections(CLIENT);
        println!("{open} {} {} {} {}", stats.share, stats.leased, u8::from(stats.in_touch), stats.losses);
        sleep(Duration::from_millis(50)).await;
    }
}

// The show: engine, machines, and the client.

struct Machine {
    process: Child,
    address: SocketAddr,
    /// The last line of its report.
    report: Arc<Mutex<String>>,
    /// What the client holds there.
    held: Vec<TcpStream>,
    dead: bool,
}

struct Show {
    engine: Engine,
    machines: Vec<Machine>,
    start: Instant,
    live: bool,
    drawn: bool,
    most: u32,
}

struct Engine {
    program: &'static str,
    port: u16,
    dir: std::path::PathBuf,
    process: Option<Child>,
}

impl Engine {
    fn start(&mut self) -> Result<(), Failure> {
        let mut command = Command::new(self.program);
        command.args(["--bind", "127.0.0.1", "--save", "", "--port"]).arg(self.port.to_string());
        command.arg("--dir").arg(&self.dir).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        self.process = Some(command.spawn()?);
        Ok(())
    }
}

async fn show() -> Result<(), Failure> {
    let there = |program: &&str| std::process::Command::new(program).arg("--version").output().is_ok();
    let Some(program) = ["redis-server", "valkey-server"].into_iter().find(there) else {
        eprintln!("SKIP: neither redis-server nor valkey-server is installed; there is nothing to show");
        return Ok(());
    };
    let dir = tempfile::tempdir()?;
    let port = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let mut engine = Engine { program, port, dir: dir.path().to_owned(), process: None };
    engine.start()?;
    let address: SocketAddr = (Ipv4Addr::LOCALHOST, port).into();
    let end = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(address).await.is_err() {
        if Instant::now() > end {
            return Err("the engine does not start".into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    let mut machines = Vec::new();
    for _ in 0..MACHINES {
        machines.push(Machine::start(&format!("redis://{address}/")).await?);
    }
    let live = std::io::stdout().is_terminal();
    let mut show = Show { engine, machines, start: Instant::now(), live, drawn: false, most: 0 };
    show.run().await
}

impl Machine {
    async fn start(engine: &str) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["machine", engine]).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn()?;
        let mut lines = BufReader::new(process.stdout.take().ok_or("no output")?).lines();
        let first = lines.next_line().await?.ok_or("a machine did not start")?;
        let address = first.strip_prefix("listening ").ok_or("a machine did not start")?.parse()?;
        let report = Arc::new(Mutex::new(String::new()));
        let latest = Arc::clone(&report);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                *latest.lock().expect("nobody panics with it") = line;
            }
        });
        Ok(Self { process, address, report, held: Vec::new(), dead: false })
    }

    fn reported(&self) -> [u32; 5] {
        let report = self.report.lock().expect("nobody panics with it").clone();
        let mut numbers = report.split(' ').map(|number| number.parse().unwrap_or(0));
        core::array::from_fn(|_| numbers.next().unwrap_or(0))
    }

    /// The client tries once more.
    async fn connect(&mut self) -> Result<(), Failure> {
        if self.dead {
            return Ok(());
        }
        let socket = TcpSocket::new_v4()?;
        socket.bind((CLIENT, 0).into())?;
        let mut stream = socket.connect(self.address).await?;
        let mut answer = [0];
        stream.read_exact(&mut answer).await?;
        if answer == *b"+" {
            self.held.push(stream);
        }
        Ok(())
    }
}

impl Show {
    async fn run(&mut self) -> Result<(), Failure> {
        self.act(
            "Three machines and one client. Nothing is leased yet: the engine may have forgotten something",
            TTL / 2,
        )
        .await?;
        self.act("The client connects everywhere, for as long as it is let in", TTL * 2).await?;
        self.expect(LIMIT, "all of the limit")?;

        let victim = (0..self.machines.len()).max_by_key(|&at| self.machines[at].held.len()).unwrap_or(0);
        self.machines[victim].process.kill().await?;
        self.machines[victim].dead = true;
        self.machines[victim].held.clear();
        self.act(&format!("Machine {victim} was killed. What it had is free after {TTL:?}"), TTL * 3 / 4).await?;
        self.act("The others lease what it had", TTL * 2).await?;
        self.expect(LIMIT - 1, "all but the share of the seat that is free")?;

        if let Some(mut engine) = self.engine.process.take() {
            engine.kill().await?;
        }
        self.act("The engine was killed. What is open stays; leases end, and each machine has its share", TTL * 2)
            .await?;
        self.expect(LIMIT - 1, "what was open")?;
        self.machines.iter_mut().for_each(|machine| machine.held.truncate(2));
        self.act("The client has closed all but two connections per machine, and gets nothing above a share", TTL)
            .await?;
        self.expect(4, "two each")?;

        self.engine.start()?;
        self.act("Another engine started, and knows nothing. The machines tell it what they have", TTL * 3).await?;
        self.expect(LIMIT - 1, "all but the share of the seat that is free")?;
        println!("\nThe client never held more than {} connections; the limit is {LIMIT}.", self.most);
        Ok(())
    }

    /// Lets the client try everywhere for as long as `time`.
    async fn act(&mut self, what: &str, time: Duration) -> Result<(), Failure> {
        if !self.live {
            println!("\n{what}");
        }
        let end = Instant::now() + time;
        while Instant::now() < end {
            for machine in &mut self.machines {
                machine.connect().await?;
            }
            let held = self.held();
            self.most = self.most.max(held);
            if self.live {
                self.draw(what);
            }
            if held > LIMIT {
                return Err(format!("BROKEN: {held} connections, and the limit is {LIMIT}").into());
            }
            sleep(Duration::from_millis(50)).await;
        }
        if !self.live {
            self.draw(what);
        }
        Ok(())
    }

    fn held(&self) -> u32 {
        self.machines.iter().map(|machine| u32::try_from(machine.held.len()).unwrap_or(u32::MAX)).sum()
    }

    fn expect(&self, wanted: u32, what: &str) -> Result<(), Failure> {
        let held = self.held();
        if held == wanted {
            Ok(())
        } else {
            Err(format!("BROKEN: {held} connections instead of {wanted}, {what}").into())
        }
    }

    fn draw(&mut self, what: &str) {
        let mut text = String::new();
        if self.live {
            // Over what was there.
            let lines = self.machines.len() + 5;
            if core::mem::replace(&mut self.drawn, true) {
                text += &format!("\x1b[{lines}A\x1b[J");
            }
            text += &format!("{:5.1} s  {what}\n", self.start.elapsed().as_secs_f32());
        }
        text += " machine  connections     share  leased  engine\n";
        for (at, machine) in self.machines.iter().enumerate() {
            let [_, share, leased, in_touch, losses] = machine.reported();
            let held = machine.held.len();
            text += &match (machine.dead, in_touch) {
                (true, _) => format!(" {at:<8} killed\n"),
                (false, touch) => format!(
                    " {at:<8} {:<12} {held:>2} {share:>6} {leased:>7}  {}\n",
                    "#".repeat(held),
                    if touch == 1 {
                        "in touch"
                    } else if losses > 0 {
                        "away, leases have ended"
                    } else {
                        "away"
                    },
                ),
            };
        }
        let held = self.held() as usize;
        let free = (LIMIT as usize).saturating_sub(held);
        text +=
            &format!(" fleet    [{}{}] {held} of {LIMIT}, most {}\n", "#".repeat(held), ".".repeat(free), self.most);
        if self.live {
            text += "\n\n";
        }
        print!("{text}");
        let _gone = std::io::stdout().flush();
    }
}
