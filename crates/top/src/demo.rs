//! Clients for the demo: real sockets on loopback, each from an address of its own.

use connlimit::Limiter;
use socket2::{Domain, Socket, Type};
use std::{
    collections::VecDeque,
    io,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

pub const LIMIT: u32 = 8;
/// How many connections each client tries to have; the first two want more than they may.
const WANTED: [u32; 9] = [12, 9, 7, 6, 4, 3, 2, 1, 1];

pub struct Demo {
    server: SocketAddr,
    open: VecDeque<TcpStream>,
    random: fastrand::Rng,
}

impl Demo {
    pub fn new(server: SocketAddr) -> Self {
        Self { server, open: VecDeque::new(), random: fastrand::Rng::with_seed(7) }
    }

    /// Opens all that the clients want, and waits until the server has decided about each.
    pub fn open(&mut self, limiter: &Limiter) -> io::Result<()> {
        for (number, wanted) in (1..).zip(WANTED) {
            for _ in 0..wanted {
                self.connect(number)?;
            }
        }
        let all: u64 = WANTED.iter().map(|&wanted| u64::from(wanted)).sum();
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let decisions = limiter.stats().decisions;
            if decisions.admitted + decisions.rejected.total() == all {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(io::Error::other("the server has not decided about all connections"));
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Some leave and some come, the first client most of all.
    pub fn stir(&mut self) -> io::Result<()> {
        for _ in 0..self.random.u8(2..12) {
            let leaving = self.random.usize(..self.open.len().max(1));
            drop(self.open.swap_remove_back(leaving));
            let comers = u8::try_from(WANTED.len()).unwrap_or(u8::MAX);
            let number = self.random.u8(1..=comers).min(self.random.u8(1..=comers));
            self.connect(number)?;
        }
        // Connections that the server has rejected are of no further use.
        self.open.retain(|stream| !is_closed(stream));
        Ok(())
    }

    fn connect(&mut self, number: u8) -> io::Result<()> {
        let client = Ipv4Addr::new(127, 0, 0, 10 + number);
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((client, 0)).into()).map_err(|error| {
            let hint = format!("on macOS: sudo ifconfig lo0 alias {client}");
            io::Error::new(error.kind(), format!("cannot connect from {client}: {error} ({hint})"))
        })?;
        socket.connect(&self.server.into())?;
        socket.set_nonblocking(true)?;
        self.open.push_back(socket.into());
        Ok(())
    }
}

/// The server says nothing on its own, so a stream that can be read has ended.
fn is_closed(stream: &TcpStream) -> bool {
    !matches!(stream.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Whether the first frame of the demo shows what its clients have done.
pub fn check(frame: &str) -> Result<(), String> {
    let says = |words: &[&str]| {
        let lines =
            frame.lines().map(|line| line.split(['│', ' ']).filter(|word| !word.is_empty()).collect::<Vec<_>>());
        lines.into_iter().any(|line| line.windows(words.len()).any(|part| part == words))
    };
    let expected = [
        &["127.0.0.11", "8"][..],
        &["127.0.0.12", "8"],
        &["127.0.0.13", "7"],
        &["127.0.0.19", "1"],
        &["admitted", "40"],
        &["client", "limit", "5"],
    ];
    if let Some(missing) = expected.iter().find(|words| !says(words)) {
        return Err(format!("the frame does not say {missing:?}"));
    }
    Ok(())
}
