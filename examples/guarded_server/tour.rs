//! The tour. Each line is compared with what the sockets did before it is printed.

use crate::{
    crowd::Guest,
    host::{self, Book, Tally},
};
use connlimit::{Config, Limiter, config::Limit};
use socket2::{Domain, Socket, Type};
use std::{
    collections::BTreeMap,
    error::Error,
    fmt::Debug,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    thread,
    time::{Duration, Instant},
};

const ONE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const TWO: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const PATIENCE: Duration = Duration::from_secs(20);
/// The text that `connlimit::Rejected` promises to be fit for the peer.
const REJECTION: &str = "client connection limit reached";

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Prints the tour to `out`, or says where reality differs from it.
pub fn run(out: &mut dyn Write) -> Outcome {
    let limiter = Limiter::new(Config::new(2).with_ipv6_prefix(64)?);
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let server = (ONE, listener.local_addr()?.port()).into();
    let book = Book::default();
    host::open(listener, limiter.clone(), book.clone())?;
    let mut tour = Tour { out, limiter, server, book, expected: BTreeMap::new() };

    writeln!(
        tour.out,
        "A server lets each client have 2 open connections. Who is rejected is told\n\
         \"{REJECTION}\" and no numbers.\n"
    )?;
    let first = tour.admits(ONE, 1)?;
    let mut second = tour.admits(ONE, 2)?;
    tour.rejects(ONE, 2)?;
    tour.rejects(ONE, 2)?;

    tour.say("Another address is another client: it has its own count.")?;
    let neighbour = tour.admits(TWO, 1)?;

    tour.say("A connection that ends makes room.")?;
    tour.leaves(ONE, [first], 1)?;
    let third = tour.admits(ONE, 2)?;

    tour.say("The limit may be lowered while the server runs. Nobody is cut off.")?;
    tour.limit(1)?;
    tour.echoes(ONE, &mut second, 2)?;
    tour.rejects(ONE, 2)?;

    tour.say("It may be raised as well.")?;
    tour.limit(3)?;
    let fourth = tour.admits(ONE, 3)?;
    tour.rejects(ONE, 3)?;

    match dual_stack() {
        Ok(listener) => tour.mapped(listener)?,
        Err(error) => tour.mapped_without_ipv6(&error)?,
    }

    tour.say("Everybody leaves.")?;
    tour.leaves(ONE, [second, third, fourth], 0)?;
    tour.leaves(TWO, [neighbour], 0)?;
    tour.table()?;
    writeln!(tour.out, "\nEach line above was checked.")?;
    Ok(())
}

struct Tour<'a> {
    out: &'a mut dyn Write,
    limiter: Limiter,
    server: SocketAddr,
    book: Book,
    /// What the clients were told, to be compared with the server's book.
    expected: BTreeMap<Ipv4Addr, Tally>,
}

impl Tour<'_> {
    fn say(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "\n{text}\n")
    }

    fn admits(&mut self, client: Ipv4Addr, open: u32) -> Outcome<Guest> {
        self.admits_at(client, open, self.server, client.into())
    }

    /// Connects to `server`, which should see the client as `seen_as`.
    fn admits_at(&mut self, client: Ipv4Addr, open: u32, server: SocketAddr, seen_as: IpAddr) -> Outcome<Guest> {
        let mut guest = Guest::connect(client, server)?;
        let step = format!("{client} connects");
        same(&step, "the server's answer", &format!("welcome {seen_as}"), &guest.hear()?)?;
        let tally = self.expected.entry(client).or_default();
        tally.admitted += 1;
        tally.most_at_once = tally.most_at_once.max(open);
        let note = if seen_as == client { String::new() } else { format!("seen as {seen_as}") };
        self.line(client, &step, "admitted", open, &note)?;
        Ok(guest)
    }

    fn rejects(&mut self, client: Ipv4Addr, open: u32) -> Outcome {
        let mut guest = Guest::connect(client, self.server)?;
        let step = format!("{client} connects");
        same(&step, "the server's answer", REJECTION, &guest.hear()?)?;
        self.expected.entry(client).or_default().rejected += 1;
        self.line(client, &step, "rejected", open, "")
    }

    fn leaves<const N: usize>(&mut self, client: Ipv4Addr, guests: [Guest; N], open: u32) -> Outcome {
        drop(guests);
        // The server learns of it when its read ends.
        let deadline = Instant::now() + PATIENCE;
        while self.limiter.open_connections(client) != open && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        let step = format!("{client} hangs up ({N})");
        self.line(client, &step, "released", open, "")
    }

    fn echoes(&mut self, client: Ipv4Addr, guest: &mut Guest, open: u32) -> Outcome {
        let step = format!("{client} says \"hello\"");
        same(&step, "the server's answer", "hello", &guest.say("hello")?)?;
        self.line(client, &step, "echoed", open, "")
    }

    fn limit(&mut self, max_per_client: u32) -> Outcome {
        self.limiter.update_config(|config| config.with_max_per_client(max_per_client))?;
        same(
            "the limit changes",
            "the limit in force",
            &Limit::AtMost(max_per_client),
            &self.limiter.config().max_per_client(),
        )?;
        writeln!(self.out, "  {:<24}limit is now {max_per_client}", "the operator")?;
        Ok(())
    }

    fn mapped(&mut self, listener: TcpListener) -> Outcome {
        self.say("Through a dual-stack IPv6 socket an IPv4 client is still the same client.")?;
        let server = (ONE, listener.local_addr()?.port()).into();
        host::open(listener, self.limiter.clone(), self.book.clone())?;
        let seen_as = TWO.to_ipv6_mapped().into();
        let second = self.admits_at(TWO, 2, server, seen_as)?;
        let third = self.admits_at(TWO, 3, server, seen_as)?;
        self.rejects(TWO, 3)?;
        self.leaves(TWO, [second, third], 1)
    }

    fn mapped_without_ipv6(&mut self, reason: &io::Error) -> Outcome {
        self.say(&format!(
            "No IPv6 socket here ({reason}), so the limiter is asked directly:\n\
             an IPv4-mapped address is the IPv4 client."
        ))?;
        let mapped = TWO.to_ipv6_mapped();
        let step = format!("{mapped}");
        let permits = [self.limiter.try_acquire(mapped)?, self.limiter.try_acquire(mapped)?];
        self.line(TWO, &step, "admitted", 3, "asked for twice")?;
        self.rejects(TWO, 3)?;
        drop(permits);
        self.line(TWO, &step, "released", 1, "")
    }

    /// Checks that the limiter counts `open` connections of `client`, and prints the line.
    fn line(&mut self, client: Ipv4Addr, step: &str, verdict: &str, open: u32, note: &str) -> Outcome {
        same(step, "open connections", &open, &self.limiter.open_connections(client))?;
        let limit = self.limiter.config().max_per_client();
        let line = format!("  {step:<24}{verdict:<10}{open} open, limit {limit}   {note}");
        writeln!(self.out, "{}", line.trim_end())?;
        Ok(())
    }

    fn table(&mut self) -> Outcome {
        self.say("What each client had, by the server's book:")?;
        writeln!(
            self.out,
            "  {:<12}{:>10}{:>10}{:>14}{:>10}",
            "client", "admitted", "rejected", "most at once", "open now"
        )?;
        for (&client, expected) in &self.expected {
            let had = self.book.tally(client.into());
            let open = self.limiter.open_connections(client);
            let row = format!("the table's row of {client}");
            same(&row, "the server's book", expected, &had)?;
            same(&row, "open connections", &0, &open)?;
            writeln!(
                self.out,
                "  {:<12}{:>10}{:>10}{:>14}{open:>10}",
                client.to_string(),
                had.admitted,
                had.rejected,
                had.most_at_once
            )?;
        }
        Ok(())
    }
}

fn same<T: PartialEq<U> + Debug + ?Sized, U: Debug + ?Sized>(
    step: &str,
    what: &str,
    expected: &T,
    found: &U,
) -> Outcome {
    if expected == found {
        return Ok(());
    }
    Err(format!("{step}: {what} should be {expected:?} but is {found:?}").into())
}

/// A listener that serves IPv4 and IPv6 on one port.
fn dual_stack() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
    socket.set_only_v6(false)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into())?;
    socket.listen(128)?;
    Ok(socket.into())
}
