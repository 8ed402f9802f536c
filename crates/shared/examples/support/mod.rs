//! What both examples need: a server that greets whom it admits, and clients that read what it says.

use connlimit_shared::SharedLimiter;
use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use core::time::Duration;
use socket2::{Domain, Socket, Type};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Instant;

/// A listener on a port that several processes listen on; the kernel spreads connections over them.
pub(crate) fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = reserve(port)?;
    socket.listen(128)?;
    Ok(socket.into())
}

/// The port alone: nobody is connected to a socket that does not listen.
pub(crate) fn reserve(port: u16) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_port(true)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into())?;
    Ok(socket)
}

/// Accepts until the listener is shut down. A thread per connection, and the permit is claimed before there is one.
pub(crate) fn serve(listener: &TcpListener, limiter: &SharedLimiter) {
    while let Ok((mut stream, peer)) = listener.accept() {
        match limiter.try_acquire(peer) {
            Ok(permit) => {
                thread::spawn(move || {
                    // The stream is closed before its permit is released.
                    let _permit = permit;
                    let mut stream = stream;
                    drop(stream.write_all(b"welcome\n"));
                    // Until the client closes.
                    drop(stream.read(&mut [0]));
                });
            }
            Err(rejected) => drop(writeln!(stream, "{rejected}")),
        }
    }
}

/// An open connection of `client`, one of the machine's own addresses; or what the server said to it.
pub(crate) fn connect(client: Ipv4Addr, server: SocketAddr) -> io::Result<Result<TcpStream, String>> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddrV4::new(client, 0).into())?;
    socket.connect(&server.into())?;
    let stream = TcpStream::from(socket);
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    Ok(if line == "welcome\n" { Ok(stream) } else { Err(line.trim_end().to_owned()) })
}

/// As many connections of `client` as are admitted.
pub(crate) fn connect_all(client: Ipv4Addr, server: SocketAddr) -> io::Result<Vec<TcpStream>> {
    let mut admitted = Vec::new();
    loop {
        match connect(client, server)? {
            Ok(stream) => admitted.push(stream),
            Err(said) => {
                println!("  {client}: {} admitted, then: {said}", admitted.len());
                return Ok(admitted);
            }
        }
    }
}

/// This program again, in another role. It ends with the example.
pub(crate) struct Role {
    pub(crate) child: Child,
    output: BufReader<ChildStdout>,
}

impl Role {
    pub(crate) fn start(arguments: &[&str], input: Stdio) -> io::Result<Self> {
        let program = std::env::current_exe()?;
        let mut child = Command::new(program).args(arguments).stdin(input).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().map(BufReader::new).ok_or_else(|| io::Error::other("no output"))?;
        let mut role = Self { child, output };
        role.expect("ready")?;
        Ok(role)
    }

    /// Waits until it says so.
    pub(crate) fn expect(&mut self, expected: &str) -> io::Result<()> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line.trim_end() == expected {
            Ok(())
        } else {
            Err(io::Error::other(format!("it said {line:?}, not {expected:?}")))
        }
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[allow(dead_code, reason = "one of the examples has no need to wait")]
/// A server notices a moment later that a client has closed.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "not in a minute: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
