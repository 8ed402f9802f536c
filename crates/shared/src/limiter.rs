//! The limiter: a handle on the region.

use crate::OpenError;
use crate::config::{Limits, SharedConfig};
use crate::key::{Family, Key};
use crate::member::{Member, Reaped};
use crate::permit::SharedPermit;
use crate::region::{self, Head, Region};
use crate::table::{Lane, Refusal, Table};
use connlimit::{Acquire, Client, Config, Rejected};
use core::fmt;
use core::net::IpAddr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

/// Limits how many connections each client may have open at once, in all processes that have the same region.
///
/// A limiter is a cheap handle: clones share it. All its methods may be called from any number of threads.
///
/// # What is guaranteed between threads and processes
///
/// - A client never has more permits than a limit that was in force while the last of them was being admitted, whatever
///   processes die meanwhile.
/// - When a process ends, in whatever way and at whatever instruction, its connections stop being counted, and nothing
///   else changes: by the next [`reap`](Self::reap); or when the next process opens the region; or without anybody's
///   help, when an attempt is rejected, at most once a second in each process. Until then they count: a client may be
///   rejected early, never admitted late.
/// - Admission is lock-free and release is wait-free: a process that is stopped or dies anywhere in this crate delays
///   nobody else's admission or release.
/// - A call that starts after [`set_limits`](Self::set_limits) returned, in whichever process, decides by the new limits.
/// - A permit's release happens before the admission that takes its place (see [`SharedPermit`]).
///
/// # What is not
///
/// The count of a client is the sum of what its processes count, and a sum is not taken in one instant. So **an attempt
/// may be rejected although a place is free, if it overlaps other attempts or releases of the same client in other
/// processes, at its very last places**: two attempts at the last place may both be rejected, and an attempt that meets
/// a release in one process and an admission in another may see both connections. This concerns no other client,
/// and it admits nobody too many. Within one process two attempts at the last place are decided: one gets it.
///
/// # Examples
///
/// ```
/// use connlimit_shared::{Limits, SharedConfig, SharedLimiter};
/// use std::net::Ipv4Addr;
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("connlimit");
/// // In each worker, after the fork. On /run: what is there does not outlive the machine's boot.
/// // let path = "/run/app/connlimit";
/// let config = SharedConfig::new(Limits::new(100)).with_clients(10_000).with_ipv6_prefix(64)?;
/// let limiter = SharedLimiter::create_or_open(&path, &config)?;
///
/// let client = Ipv4Addr::new(192, 0, 2, 1);
/// let permit = limiter.try_acquire(client)?;
///
/// let other = SharedLimiter::open(&path, &config)?; // as another process does
/// assert_eq!(other.open_connections(client), 1);
/// # drop(permit);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SharedLimiter {
    inner: Arc<Inner>,
}

struct Inner {
    table: AnyTable,
    head: &'static Head,
    v4_mask: u32,
    identity: Config,
    member: Member,
}

/// Tables with records of either size.
#[derive(Clone, Copy)]
pub(crate) enum AnyTable {
    Narrow(Table<'static, 5>),
    Wide(Table<'static, 13>),
}

/// Does the same with either table.
macro_rules! with_table {
    ($table:expr, $name:ident => $result:expr) => {
        match $table {
            $crate::limiter::AnyTable::Narrow($name) => $result,
            $crate::limiter::AnyTable::Wide($name) => $result,
        }
    };
}
pub(crate) use with_table;

impl SharedLimiter {
    /// Makes a new region in the file `path`, which must not be there yet, and joins it.
    ///
    /// Use a file system in memory (`/run`, `/dev/shm`): the file is read and written as memory is. It is made for this
    /// user alone (mode 0600), and appears under its name when it is complete. The directory's file system must know
    /// files without names (`O_TMPFILE`): tmpfs, ext4, XFS and Btrfs do.
    ///
    /// # Errors
    ///
    /// [`OpenError::Io`] with [`io::ErrorKind::AlreadyExists`] when there is something of that name, and with other kinds
    /// for what the operating system says; [`OpenError::Processes`] and [`OpenError::Clients`] when there can be no such
    /// region.
    pub fn create(path: impl AsRef<Path>, config: &SharedConfig) -> Result<Self, OpenError> {
        Self::join(region::create_at(path.as_ref(), config)?, config)
    }

    /// Joins the region in the file `path`. Limits and sizes are those of the region.
    ///
    /// # Errors
    ///
    /// [`OpenError::Io`] with [`io::ErrorKind::NotFound`] when there is none; every other [`OpenError`] for what is there
    /// and cannot be used.
    pub fn open(path: impl AsRef<Path>, config: &SharedConfig) -> Result<Self, OpenError> {
        Self::join(region::open_at(path.as_ref(), config)?, config)
    }

    /// Joins the region in the file `path`, or makes it. Any number of processes may do so at the same time: one makes
    /// it.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open) and [`create`](Self::create). A file that cannot be used is left as it is.
    pub fn create_or_open(path: impl AsRef<Path>, config: &SharedConfig) -> Result<Self, OpenError> {
        let is = |error: &OpenError, kind| matches!(error, OpenError::Io(_, error) if error.kind() == kind);
        // Ends, unless others make and remove the file over and over.
        loop {
            match Self::open(&path, config) {
                Err(error) if is(&error, io::ErrorKind::NotFound) => {}
                opened => return opened,
            }
            match Self::create(&path, config) {
                Err(error) if is(&error, io::ErrorKind::AlreadyExists) => {}
                created => return created,
            }
        }
    }

    /// Makes a new region without a name (`memfd_create`), and joins it. Others join it by its
    /// [descriptor](Self::descriptor). Nobody can cut it short, and it is gone when the last process that has it is.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub fn create_unnamed(config: &SharedConfig) -> Result<Self, OpenError> {
        Self::join(region::create_unnamed(config)?, config)
    }

    /// Joins the region that a descriptor refers to: one that was inherited, received over a Unix socket, or kept by the
    /// service manager over a restart.
    ///
    /// The descriptor itself is only looked at; the caller may close it afterwards. `/proc` must be mounted.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open). Whether the file is safe to use is for the caller to know.
    pub fn open_descriptor(descriptor: impl AsFd, config: &SharedConfig) -> Result<Self, OpenError> {
        Self::join(region::open_descriptor(descriptor.as_fd(), config)?, config)
    }

    /// A descriptor of the region, to be handed on to another process. It is closed on `exec` unless the caller arranges
    /// otherwise, for instance by making it the standard input of a [`Command`](std::process::Command).
    ///
    /// It holds no lock: this process' membership ends with the process, whoever has this descriptor. (A *duplicate* of
    /// the descriptor that the limiter itself uses would keep it alive.)
    ///
    /// # Errors
    ///
    /// [`OpenError::Io`] for what the operating system says.
    pub fn descriptor(&self) -> Result<OwnedFd, OpenError> {
        region::reopen(self.inner.member.region.file.as_fd())
    }

    fn join(region: Region, config: &SharedConfig) -> Result<Self, OpenError> {
        let member = Member::join(region)?;
        let (region, me) = (&member.region, member.me);
        let secret = region.shape.secret;
        let table = match region.shape.words {
            5 => AnyTable::Narrow(Table { groups: region.groups(), secret, me }),
            _ => AnyTable::Wide(Table { groups: region.groups(), secret, me }),
        };
        let v4_mask = u32::MAX.checked_shl(32 - u32::from(config.identity.ipv4_prefix())).unwrap_or(0);
        let (head, identity) = (region.head(), config.identity.clone());
        Ok(Self { inner: Arc::new(Inner { table, head, v4_mask, identity, member }) })
    }

    /// Counts one more connection of `client`, if it may have one more.
    ///
    /// A client at its limit is rejected without a write to the table, so that a flood does not slow the rest down. A
    /// rejection looks for dead processes first, if none has for a second: that takes some 20 microseconds, and if there
    /// are any, a millisecond for each hundred thousand records. It never waits.
    ///
    /// # Errors
    ///
    /// [`Rejected::ClientLimit`] when the client is at its limit; [`Rejected::TableFull`] when it is new and there is no
    /// room for it; [`Rejected::UnknownPeer`] for a client made by [`Client::named`]: its digest means something to this
    /// process alone. [`named`](Self::named) makes clients that mean the same in all processes.
    #[inline]
    pub fn try_acquire(&self, client: impl Into<Client>) -> Result<SharedPermit, Rejected> {
        self.acquire(client.into(), u32::MAX)
    }

    /// Counts one more connection of `client` like [`try_acquire`](Self::try_acquire), with `limit` in place of the
    /// region's where that is higher: for rules that this process alone knows. 0 admits nothing.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_within(&self, client: impl Into<Client>, limit: u32) -> Result<SharedPermit, Rejected> {
        if limit == 0 {
            return Err(Rejected::ClientLimit);
        }
        self.acquire(client.into(), limit)
    }

    #[inline(always)]
    fn acquire(&self, client: Client, within: u32) -> Result<SharedPermit, Rejected> {
        let inner = &*self.inner;
        let Some(key) = inner.key(client) else { return Err(Rejected::UnknownPeer) };
        let limit = inner.limit(key.family()).min(within);
        match inner.count(key, limit) {
            Ok(lane) => Ok(SharedPermit::new(lane)),
            Err(refusal) => inner.look_again(key, limit, refusal),
        }
    }

    /// The connections that `client` has open in all processes. 0 for a client that means something to this process
    /// alone.
    ///
    /// Connections of a process that has died, and was not swept after yet, are among them.
    #[must_use]
    pub fn open_connections(&self, client: impl Into<Client>) -> u32 {
        let inner = &*self.inner;
        inner.key(client.into()).map_or(0, |key| with_table!(&inner.table, table => table.open(key)))
    }

    /// A peer without an IP address: a Unix socket's path, a tenant. It is the same client in all processes that have the
    /// region: the name is digested under a key that the region holds.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit_shared::{Limits, SharedConfig, SharedLimiter};
    ///
    /// let config = SharedConfig::new(Limits::new(1));
    /// let limiter = SharedLimiter::create_unnamed(&config)?;
    /// let other = SharedLimiter::open_descriptor(limiter.descriptor()?, &config)?;
    ///
    /// let _permit = limiter.try_acquire(limiter.named("unix:/run/app.sock"))?;
    /// assert!(other.try_acquire(other.named("unix:/run/app.sock")).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn named(&self, name: impl AsRef<[u8]>) -> Client {
        let names = self.inner.member.region.shape.names;
        let [high, low] = names.map(|secret| secret.hash_bytes(name.as_ref()));
        Key::named(u128::from(high) << 64 | u128::from(low)).client()
    }

    /// The limits in force.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits::from_word(self.inner.head.limits())
    }

    /// Replaces the limits, for all processes, while admissions go on undisturbed.
    ///
    /// Admissions that start after this returns, in whichever process, decide by the new ones. No connection is closed: a
    /// client that has more than a lowered limit keeps what it has, and gets nothing new until it is below.
    pub fn set_limits(&self, limits: Limits) {
        self.inner.head.set_limits(limits);
    }

    /// Stops counting the connections of processes that have died. For supervisors, when a child has ended.
    ///
    /// Never needed for correct counts in the end: a rejection does it as well, and so does opening. It takes about a
    /// millisecond for each hundred thousand records if a process has died, and some system calls if none has. Admissions
    /// go on meanwhile.
    ///
    /// `None` if another thread or process is doing so at the moment. It may have looked before the process died that the
    /// caller knows of: ask again.
    ///
    /// # Errors
    ///
    /// Those of the operating system, about the locks that tell who is alive. Nothing has changed then.
    pub fn reap(&self) -> io::Result<Option<Reaped>> {
        self.inner.member.reap()
    }

    pub(crate) fn table(&self) -> &AnyTable {
        &self.inner.table
    }

    pub(crate) fn region(&self) -> &Region {
        &self.inner.member.region
    }
}

impl Inner {
    #[inline(always)]
    fn key(&self, client: Client) -> Option<Key> {
        match client.ip() {
            Some(IpAddr::V4(addr)) => Some(Key::ipv4(addr.to_bits() & self.v4_mask)),
            _ => Key::of(self.identity.counted_as(client)),
        }
    }

    #[inline(always)]
    fn limit(&self, family: Family) -> u32 {
        Limits::of_word(self.head.limits(), family).max(1)
    }

    #[inline(always)]
    fn count(&self, key: Key, limit: u32) -> Result<Lane<'static>, Refusal> {
        with_table!(&self.table, table => table.acquire(key, limit))
    }

    /// What is in the way may be a dead process' connections.
    #[inline]
    fn look_again(&self, key: Key, limit: u32, refusal: Refusal) -> Result<SharedPermit, Rejected> {
        let mut refusal = refusal;
        if self.member.look_now_and_then() {
            match self.count(key, limit) {
                Ok(lane) => return Ok(SharedPermit::new(lane)),
                Err(again) => refusal = again,
            }
        }
        Err(match refusal {
            Refusal::AtLimit => Rejected::ClientLimit,
            Refusal::Full => Rejected::TableFull,
        })
    }
}

/// Leaves the region, unless there are permits: then the process stays a member until it ends.
impl Drop for Inner {
    fn drop(&mut self) {
        self.member.leave(with_table!(&self.table, table => table.holds_nothing()));
    }
}

/// So that listeners and streams of the other crates take it in place of a [`Limiter`](connlimit::Limiter).
impl Acquire for SharedLimiter {
    type Permit = SharedPermit;

    #[inline]
    fn try_acquire(&self, client: Client) -> Result<SharedPermit, Rejected> {
        self.acquire(client, u32::MAX)
    }
}

impl fmt::Debug for SharedLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLimiter").field("limits", &self.limits()).finish_non_exhaustive()
    }
}
