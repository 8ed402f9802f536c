//! Leases in a Redis or Valkey server, by one script per exchange.

#[cfg(test)]
mod agreement;

use super::{Engine, EngineError, Grant, Granted, Key, Reply, Request};
use core::fmt;
use core::time::Duration;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, IntoConnectionInfo, RedisError, Script, ScriptInvocation, Value,
};
use tokio::time::timeout;

/// Keeps the leases in a Redis or Valkey server. Tested with Redis 7.0; what the script uses has been there since 5.0.
///
/// Each exchange is one atomic script. Connections are made when they are needed, and anew after any error.
///
/// # The server
///
/// - One primary. A replica may stand by: when it takes over, the fleet notices, also if the last grants never
///   reached it. Where two primaries may be written to at once, set `min-replicas-to-write 1` and `min-replicas-max-lag`
///   below the time to live, or the limit may hold on each side for itself.
/// - `maxmemory-policy noeviction`. Anything else is an error as soon as `maxmemory` is set.
/// - Persistence is not needed. A server that comes back empty is noticed too.
/// - All keys are in one hash slot, so a cluster serves as well, with the one primary that has the slot.
/// - The user needs `+evalsha +eval +script|load +info +time +hget +hmget +hset +hdel +hgetall +del +pexpire +sadd +spop`
///   on the keys `{connlimit:*`.
///
/// Addresses are those of the [`redis`] crate: `redis://user:password@host:port/db`, with the feature `tls-rustls` or
/// `tls-native` also `rediss://` for TLS; or a [`redis::Client`] that was built with certificates of its own, for
/// [`with_client`](Self::with_client).
///
/// # Examples
///
/// ```
/// use connlimit_fleet::engine::Redis;
///
/// let engine = Redis::open("redis://fleet:secret@192.0.2.10:6379/")?;
/// # let _ = engine;
/// # Ok::<(), connlimit_fleet::engine::EngineError>(())
/// ```
pub struct Redis {
    client: Client,
    script: Script,
    connection: Option<MultiplexedConnection>,
    names: Names,
}

/// The keys of one fleet. The part in braces is what Redis Cluster looks at.
#[derive(Clone, Debug)]
struct Names {
    meta: String,
    sessions: String,
    notes: String,
    grants: String,
}

impl Names {
    fn new(fleet: &str) -> Self {
        let name = |part| format!("{{connlimit:{fleet}}}:{part}");
        Self { meta: name("meta"), sessions: name("sessions"), notes: name("notes:"), grants: name("client:") }
    }

    fn client(&self, key: &Key) -> Vec<u8> {
        [self.grants.as_bytes(), key.as_bytes()].concat()
    }
}

pub(crate) const SCRIPT: &str = include_str!("exchange.lua");

impl Redis {
    /// An engine at this address. Connects later.
    ///
    /// # Errors
    ///
    /// [`EngineError::Away`] when the address makes no sense, or asks for TLS without one of the features.
    pub fn open(address: impl IntoConnectionInfo) -> Result<Self, EngineError> {
        Client::open(address).map(Self::with_client).map_err(|error| EngineError::Away(error.to_string()))
    }

    /// An engine behind this client.
    #[must_use]
    pub fn with_client(client: Client) -> Self {
        Self { client, script: Script::new(SCRIPT), connection: None, names: Names::new("") }
    }

    /// Another script that does the same, for tests that set the clock.
    #[cfg(test)]
    pub(crate) fn with_script(mut self, code: &str) -> Self {
        self.script = Script::new(code);
        self
    }

    /// Keeps the leases of this fleet, should several share a server. [`Fleet::join`](crate::Fleet::join) says which.
    fn of_fleet(&mut self, fleet: &str) {
        self.names = Names::new(fleet);
    }

    async fn connect(&self) -> Result<MultiplexedConnection, EngineError> {
        // The deadline is that of the whole exchange, outside.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await.map_err(error)?;
        let memory: String = redis::cmd("INFO").arg("memory").query_async(&mut connection).await.map_err(error)?;
        let line = |name: &str| memory.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        match (line("maxmemory:"), line("maxmemory_policy:")) {
            (Some(bytes), Some(policy)) if bytes != "0" && policy != "noeviction" => {
                Err(EngineError::Evicts(policy.to_owned()))
            }
            _ => Ok(connection),
        }
    }

    fn invocation(&self, request: &Request) -> ScriptInvocation<'_> {
        let (names, rules) = (&self.names, &request.rules);
        let mut call = self.script.prepare_invoke();
        call.key(&names.meta).key(&names.sessions);
        call.arg(&*request.session).arg(request.epoch.as_deref().unwrap_or_default()).arg(request.sequence);
        call.arg(u8::from(request.end)).arg(rules.pool).arg(rules.seats).arg(rules.share);
        call.arg(millis(rules.ttl)).arg(millis(rules.retention)).arg(&names.notes);
        for entry in &request.entries {
            call.key(names.client(&entry.key)).arg(entry.key.as_bytes()).arg(entry.hold).arg(entry.want);
        }
        call
    }

    async fn run(&mut self, request: &Request) -> Result<Reply, EngineError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let value: Value = self.invocation(request).invoke_async(&mut connection).await.map_err(error)?;
        // Only a connection that has answered is used again: what is left in another one would answer the next request.
        self.connection = Some(connection);
        read(&value, if request.end { 0 } else { request.entries.len() })
    }
}

impl Engine for Redis {
    fn fleet(&mut self, name: &str) {
        self.of_fleet(name);
    }

    async fn exchange(&mut self, request: &Request, patience: Duration) -> Result<Reply, EngineError> {
        match timeout(patience, self.run(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(EngineError::Away(format!("no answer within {patience:?}"))),
        }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("connected", &self.connection.is_some()).finish_non_exhaustive()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn error(error: RedisError) -> EngineError {
    match error.kind() {
        ErrorKind::Io => EngineError::Away(error.to_string()),
        _ => EngineError::Rejected(error.to_string()),
    }
}

/// The script's answer.
fn read(value: &Value, entries: usize) -> Result<Reply, EngineError> {
    const GARBLED: EngineError = EngineError::Garbled("not what the script returns");
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => core::str::from_utf8(bytes).map(str::to_owned).map_err(|_| GARBLED),
        Value::SimpleString(text) => Ok(text.clone()),
        _ => Err(GARBLED),
    };
    let number = |value: &Value| match value {
        Value::Int(number) => u64::try_from(*number).map_err(|_| GARBLED),
        _ => Err(GARBLED),
    };
    let small = |value: &Value| number(value).and_then(|number| u32::try_from(number).map_err(|_| GARBLED));
    let list = |value: &Value| match value {
        Value::Array(values) | Value::Set(values) => Ok(values.clone()),
        _ => Err(GARBLED),
    };
    let answer = list(value)?;
    let Some((kind, rest)) = answer.split_first() else { return Err(GARBLED) };
    match (text(kind)?.as_str(), rest) {
        ("unknown", []) => Ok(Reply::Unknown),
        ("overtaken", []) => Ok(Reply::Overtaken),
        ("rules", [seats, share, ttl]) => Ok(Reply::OtherRules {
            seats: small(seats)?,
            share: small(share)?,
            ttl: Duration::from_millis(number(ttl)?),
        }),
        ("granted", [epoch, seat, learning, grants, contended]) => {
            let learning = Duration::from_millis(number(learning)?);
            let mut granted = Granted::new(text(epoch)?.into(), number(seat)? == 1, learning);
            for grant in list(grants)?.chunks(2) {
                let [leased, excess] = grant else { return Err(GARBLED) };
                granted.grants.push(Grant::new(small(leased)?, small(excess)?));
            }
            if granted.grants.len() != entries {
                return Err(GARBLED);
            }
            for key in list(contended)? {
                let Value::BulkString(bytes) = key else { return Err(GARBLED) };
                granted.contended.push(Key::new(&bytes));
            }
            Ok(Reply::Granted(granted))
        }
        _ => Err(GARBLED),
    }
}
