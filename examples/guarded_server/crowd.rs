//! The clients of the tour: real sockets that choose the loopback address they come from.

use socket2::{Domain, Socket, Type};
use std::{
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A client with one connection.
pub struct Guest(BufReader<TcpStream>);

impl Guest {
    pub fn connect(from: Ipv4Addr, to: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((from, 0)).into()).map_err(|error| {
            let hint = "on macOS: sudo ifconfig lo0 alias 127.0.0.2";
            io::Error::new(error.kind(), format!("cannot connect from {from}: {error} ({hint})"))
        })?;
        socket.connect(&to.into())?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a line and returns the one that comes back.
    pub fn say(&mut self, line: &str) -> io::Result<String> {
        writeln!(self.0.get_mut(), "{line}")?;
        self.hear()
    }

    /// The next line the server says; empty when it has hung up.
    pub fn hear(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        Ok(line.trim_end().into())
    }
}
