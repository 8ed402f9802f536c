//! A real server, started by the test, and a proxy in front of it that spoils the network.
#![allow(dead_code, reason = "not every user needs all of it")]

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A Redis or Valkey server that dies with its handle.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    dir: TempDir,
    options: Vec<String>,
}

fn program() -> Option<&'static str> {
    let there = |program: &&str| Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success());
    ["redis-server", "valkey-server"].into_iter().find(there)
}

impl Server {
    /// `None`, said aloud, where no server is installed.
    pub(crate) fn start(options: &[&str]) -> Option<Self> {
        let Some(program) = program() else {
            eprintln!("SKIP: neither redis-server nor valkey-server is installed; nothing was tested");
            return None;
        };
        for _ in 0..10 {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            let dir = tempfile::tempdir().unwrap();
            let options = options.iter().map(|&option| option.to_owned()).collect::<Vec<_>>();
            let child = spawn(program, port, &dir, &options);
            let mut server = Self { child, port, dir, options };
            // Another process may have taken the port meanwhile.
            if server.answers() {
                return Some(server);
            }
        }
        panic!("no server starts");
    }

    fn answers(&mut self) -> bool {
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end && self.child.try_wait().unwrap().is_none() {
            let answer = self.try_command(&["PING"]);
            if answer.is_ok() || answer.is_err_and(|error| error.to_string().contains("NOAUTH")) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub(crate) fn try_command(&self, command: &[&str]) -> redis::RedisResult<redis::Value> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port))?;
        let mut connection = client.get_connection_with_timeout(Duration::from_secs(5))?;
        let (name, arguments) = command.split_first().unwrap();
        redis::cmd(name).arg(arguments).query(&mut connection)
    }

    pub(crate) fn command(&self, command: &[&str]) -> redis::Value {
        self.try_command(command).unwrap()
    }

    pub(crate) fn info(&self, section: &str, line: &str) -> String {
        let redis::Value::BulkString(info) = self.command(&["INFO", section]) else { panic!("no text") };
        let info = String::from_utf8(info).unwrap();
        let value = info.lines().find_map(|info| info.strip_prefix(line)?.strip_prefix(':'));
        value.unwrap_or_else(|| panic!("no {line} in {info}")).trim().to_owned()
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success(), "kill {signal}");
    }

    pub(crate) fn stop(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Another process on the same port, with the files that the last one left.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(program().unwrap(), self.port, &self.dir, &self.options);
        assert!(self.answers(), "it does not start again");
    }
}

fn spawn(program: &str, port: u16, dir: &TempDir, options: &[String]) -> Child {
    let mut command = Command::new(program);
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--enable-debug-command", "local"]);
    command.arg("--dir").arg(dir.path()).args(options).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

const PASS: u8 = 0;
/// Nothing passes, and nobody is told.
const STALL: u8 = 1;
/// What servers say does not pass.
const HALF: u8 = 2;
/// Connections end at once.
const CUT: u8 = 3;

struct State {
    mode: AtomicU8,
    delay: AtomicU64,
    target: Mutex<SocketAddr>,
}

/// A TCP proxy that delays, stalls, cuts and half-opens.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(target: SocketAddr) -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { mode: AtomicU8::new(PASS), delay: AtomicU64::new(0), target: Mutex::new(target) });
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(Self::serve(near, Arc::clone(&shared)));
            }
        });
        Self { address, state, task }
    }

    async fn serve(near: TcpStream, state: Arc<State>) {
        let target = *state.target.lock().unwrap();
        let Ok(far) = TcpStream::connect(target).await else { return };
        near.set_nodelay(true).unwrap();
        far.set_nodelay(true).unwrap();
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        let there = Self::copy(near_in, far_out, &state, STALL);
        let back = Self::copy(far_in, near_out, &state, HALF);
        let cut = async {
            while state.mode.load(SeqCst) != CUT && *state.target.lock().unwrap() == target {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::select! { () = there => {}, () = back => {}, () = cut => {} }
    }

    async fn copy(
        mut from: tokio::net::tcp::OwnedReadHalf,
        mut to: tokio::net::tcp::OwnedWriteHalf,
        state: &State,
        stalls: u8,
    ) {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(1..) = from.readable().await.map(|()| 1) {
            let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
            tokio::time::sleep(Duration::from_millis(state.delay.load(SeqCst))).await;
            while [STALL, stalls].contains(&state.mode.load(SeqCst)) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            if to.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}/", self.address)
    }

    pub(crate) fn delay(&self, delay: Duration) {
        self.state.delay.store(u64::try_from(delay.as_millis()).unwrap(), SeqCst);
    }

    pub(crate) fn pass(&self) {
        self.state.mode.store(PASS, SeqCst);
    }

    pub(crate) fn stall(&self) {
        self.state.mode.store(STALL, SeqCst);
    }

    pub(crate) fn half_open(&self) {
        self.state.mode.store(HALF, SeqCst);
    }

    pub(crate) fn cut(&self) {
        self.state.mode.store(CUT, SeqCst);
    }

    /// From now on, somebody else.
    pub(crate) fn lead_to(&self, target: SocketAddr) {
        *self.state.target.lock().unwrap() = target;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}
