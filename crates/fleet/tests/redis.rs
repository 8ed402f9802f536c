//! A fleet on a real server that dies, stalls, forgets and fails over, behind a network that does too.
#![allow(clippy::std_instead_of_core, reason = "a test has the standard library")]

mod support;

use connlimit::{Config, Limiter, Permit};
use connlimit_fleet::engine::{EngineError, Redis};
use connlimit_fleet::{Fleet, FleetClient, JoinError, OnLoss, Rejection, Terms};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{Proxy, Server};
use tokio::task::JoinHandle;
use tokio::time::sleep;

const LIMIT: u32 = 20;
const TTL: Duration = Duration::from_secs(1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn terms() -> Terms {
    Terms::new(LIMIT).seats(3).share(1).ttl(TTL).timeout(Duration::from_millis(200))
}

async fn join(url: &str, terms: Terms) -> Result<Fleet, JoinError> {
    Fleet::join(Redis::open(url).unwrap(), Limiter::new(Config::new(1)), terms).await
}

/// Three machines, each behind a network of its own, and one client who connects to all of them as often as it can.
struct World {
    proxies: Vec<Proxy>,
    fleets: Vec<Fleet>,
    /// Connections that are certainly open, and the most there have been since somebody asked.
    open: Arc<AtomicI64>,
    most: Arc<AtomicI64>,
    held: Vec<Arc<Mutex<Vec<Permit>>>>,
    /// Whether connections end again.
    churn: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl World {
    async fn new(server: &Server) -> Self {
        let mut world = Self {
            proxies: Vec::new(),
            fleets: Vec::new(),
            open: Arc::default(),
            most: Arc::default(),
            held: Vec::new(),
            churn: Arc::new(AtomicBool::new(true)),
            tasks: Vec::new(),
        };
        for _ in 0..3 {
            let proxy = Proxy::start(server.address()).await;
            let fleet = join(&proxy.url(), terms()).await.unwrap();
            let held = Arc::new(Mutex::new(Vec::new()));
            world.tasks.push(tokio::spawn(Self::connect(
                fleet.clone(),
                Arc::clone(&world.open),
                Arc::clone(&world.most),
                Arc::clone(&held),
                Arc::clone(&world.churn),
            )));
            world.proxies.push(proxy);
            world.fleets.push(fleet);
            world.held.push(held);
        }
        world
    }

    async fn connect(
        fleet: Fleet,
        open: Arc<AtomicI64>,
        most: Arc<AtomicI64>,
        held: Arc<Mutex<Vec<Permit>>>,
        churn: Arc<AtomicBool>,
    ) {
        for turn in 0u64.. {
            let permit = if turn % 2 == 0 { fleet.acquire(CLIENT).await } else { fleet.try_acquire(CLIENT) };
            if let Ok(permit) = permit {
                // Counted when it is there, and no longer when it is about to go: never too many.
                most.fetch_max(open.fetch_add(1, SeqCst) + 1, SeqCst);
                held.lock().unwrap().push(permit);
            }
            if churn.load(SeqCst) && turn % 3 == 0 {
                let mut held = held.lock().unwrap();
                if !held.is_empty() {
                    open.fetch_sub(1, SeqCst);
                    let at = usize::try_from(turn).unwrap() % held.len();
                    drop(held.swap_remove(at));
                }
            }
            sleep(Duration::from_millis(3)).await;
        }
    }

    fn total(&self) -> u32 {
        self.fleets.iter().map(|fleet| fleet.limiter().open_connections(CLIENT)).sum()
    }

    /// The most there have been since the last call.
    fn most(&self) -> u32 {
        u32::try_from(self.most.swap(self.open.load(SeqCst), SeqCst)).unwrap()
    }

    /// Connections stay from here on, until the whole limit is in use.
    async fn fill(&self) {
        self.churn.store(false, SeqCst);
        wait("the whole limit is in use", || self.total() >= LIMIT).await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn wait(what: &str, mut there: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !there() {
        assert!(Instant::now() < end, "in vain: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_has_its_limit_in_the_fleet_wherever_it_connects() {
    let Some(server) = Server::start(&[]) else { return };
    let world = World::new(&server).await;
    sleep(TTL * 2).await;
    world.fill().await;
    sleep(TTL).await;
    assert_eq!((world.most(), world.total()), (LIMIT, LIMIT));
    for fleet in &world.fleets {
        let stats = fleet.stats();
        assert!(stats.in_touch && stats.losses == 0 && stats.overhang == 0, "{stats:?}");
        assert_eq!((stats.sessions, stats.share, stats.leases), (1, 1, 1), "{stats:?}");
        assert!(stats.since_heartbeat.is_some_and(|since| since < TTL), "{stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_that_comes_back_empty_lets_nobody_exceed_the_limit() {
    let Some(mut server) = Server::start(&[]) else { return };
    let world = World::new(&server).await;
    sleep(TTL * 2).await;
    for away in [Duration::from_millis(50), TTL * 2] {
        world.churn.store(true, SeqCst);
        sleep(TTL).await;
        world.fill().await;
        server.kill();
        sleep(away).await;
        server.restart();
        wait("all are in touch", || world.fleets.iter().all(|fleet| fleet.stats().in_touch)).await;
        world.churn.store(true, SeqCst);
        sleep(TTL * 3).await;
        // The engine was away for all, so nobody else was granted anything.
        assert_eq!(world.most(), LIMIT, "away for {away:?}");
    }
    assert!(world.fleets.iter().all(|fleet| fleet.stats().losses > 0), "two times to live are a loss");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_forgets_everything_lets_nobody_exceed_the_limit() {
    let Some(server) = Server::start(&[]) else { return };
    let world = World::new(&server).await;
    sleep(TTL * 2).await;
    for _ in 0..3 {
        sleep(TTL).await;
        server.command(&["FLUSHALL"]);
        sleep(TTL).await;
        server.command(&["SCRIPT", "FLUSH"]);
    }
    world.fill().await;
    server.command(&["FLUSHALL"]);
    sleep(TTL * 3).await;
    assert_eq!((world.most(), world.total()), (LIMIT, LIMIT));
    assert!(world.fleets.iter().all(|fleet| fleet.stats().sessions > 3 && fleet.stats().losses == 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_server_and_slow_scripts_let_nobody_exceed_the_limit() {
    let Some(server) = Server::start(&[]) else { return };
    let world = World::new(&server).await;
    sleep(TTL * 2).await;
    for stopped in [TTL / 10, TTL * 2] {
        server.stop();
        sleep(stopped).await;
        server.go_on();
        sleep(TTL * 2).await;
    }
    for seconds in ["0.1", "0.6", "2.5"] {
        let _slow = server.try_command(&["DEBUG", "SLEEP", seconds]);
        sleep(TTL).await;
    }
    let spin = "local n = 0 for i = 1, tonumber(ARGV[1]) do n = n + i end return n";
    let _slow = server.try_command(&["EVAL", spin, "0", "50000000"]);
    world.fill().await;
    sleep(TTL).await;
    assert_eq!((world.most(), world.total()), (LIMIT, LIMIT));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_lacks_the_last_grants_lets_nobody_exceed_the_limit() {
    let Some(mut primary) = Server::start(&["--repl-timeout", "60"]) else { return };
    let Some(replica) = Server::start(&[]) else { return };
    let link = Proxy::start(primary.address()).await;
    let port = link.address.port().to_string();
    replica.command(&["REPLICAOF", "127.0.0.1", &port]);
    let world = World::new(&primary).await;
    wait("the replica has a copy", || replica.info("replication", "master_link_status") == "up").await;
    sleep(TTL * 2).await;
    // What is granted from here on does not reach the replica.
    wait("the replica has sessions", || replica.command(&["EXISTS", "{connlimit:}:sessions"]) == redis::Value::Int(1))
        .await;
    link.stall();
    world.fill().await;
    primary.kill();
    link.cut();
    replica.command(&["REPLICAOF", "NO", "ONE"]);
    world.proxies.iter().for_each(|proxy| proxy.lead_to(replica.address()));
    wait("all are in touch", || world.fleets.iter().all(|fleet| fleet.stats().sessions > 1)).await;
    world.churn.store(true, SeqCst);
    sleep(TTL * 4).await;
    assert_eq!(world.most(), LIMIT);
    world.fill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delays_cuts_and_half_open_connections_let_nobody_exceed_what_was_kept() {
    let Some(server) = Server::start(&[]) else { return };
    let world = World::new(&server).await;
    sleep(TTL * 2).await;

    // Shorter than a time to live: nothing is lost.
    world.proxies[0].delay(Duration::from_millis(20));
    world.proxies[1].cut();
    world.proxies[2].half_open();
    sleep(TTL / 4).await;
    world.proxies.iter().for_each(Proxy::pass);
    sleep(TTL * 2).await;
    world.proxies[0].delay(Duration::ZERO);
    world.proxies[1].stall();
    sleep(TTL / 4).await;
    world.proxies[1].pass();
    sleep(TTL * 2).await;
    assert!(world.most() <= LIMIT);
    assert!(world.fleets.iter().all(|fleet| fleet.stats().losses == 0));

    // Longer: the other two may use what it had leased, and it keeps what is open.
    for hurt in [Proxy::half_open, Proxy::stall, Proxy::cut] {
        world.churn.store(true, SeqCst);
        sleep(TTL).await;
        world.fill().await;
        let kept = world.fleets[1].limiter().open_connections(CLIENT).saturating_sub(1);
        let losses = world.fleets[1].stats().losses;
        hurt(&world.proxies[1]);
        wait("it has lost touch", || world.fleets[1].stats().losses > losses).await;
        sleep(TTL).await;
        assert!(world.most() <= LIMIT + kept, "kept {kept}");
        assert!(kept < 2 || world.total() > LIMIT, "what was leased to it is used by others");
        let overhang = world.fleets[1].stats().overhang;
        assert_eq!(overhang, u64::from(world.fleets[1].limiter().open_connections(CLIENT).saturating_sub(1)));
        world.proxies[1].pass();
        wait("it is back", || world.fleets[1].stats().in_touch).await;
        // When it is back and connections end, the limit holds again.
        world.churn.store(true, SeqCst);
        wait("what was too much has ended", || world.total() <= LIMIT - 2).await;
        sleep(TTL).await;
        world.most();
        sleep(TTL).await;
        assert!(world.most() <= LIMIT);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_named_for_closing_brings_the_fleet_back_to_the_limit() {
    let Some(server) = Server::start(&[]) else { return };
    let proxy = Proxy::start(server.address()).await;
    let one = join(&proxy.url(), terms().on_loss(OnLoss::Close)).await.unwrap();
    let other = join(&format!("redis://{}/", server.address()), terms()).await.unwrap();
    sleep(TTL * 2).await;
    let mut held = Vec::new();
    wait("it has 18", || {
        held.extend(one.try_acquire(CLIENT));
        held.len() == 18
    })
    .await;
    assert!(one.overhang().is_empty());
    proxy.stall();
    let named = one.wait_overhang().await;
    assert_eq!((named.len(), named[0].client, named[0].connections), (1, CLIENT.into(), 17), "all but the share");
    held.truncate(1);
    assert!(one.overhang().is_empty());
    assert_eq!(one.try_acquire(CLIENT).unwrap_err(), Rejection::ShareUsed);
    let mut elsewhere = Vec::new();
    wait("the other has what was leased", || {
        elsewhere.extend(other.try_acquire(CLIENT));
        elsewhere.len() == 18
    })
    .await;
    proxy.pass();
    wait("it is back", || one.stats().in_touch).await;
    sleep(TTL).await;
    assert!(one.overhang().is_empty() && one.try_acquire(CLIENT).is_err() && other.try_acquire(CLIENT).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_frees_at_once_what_it_had_and_who_dies_after_a_time_to_live() {
    let Some(server) = Server::start(&[]) else { return };
    let url = format!("redis://{}/", server.address());
    let ttl = Duration::from_secs(4);
    let terms = || terms().seats(1).ttl(ttl);
    let (one, other) = (join(&url, terms()).await.unwrap(), join(&url, terms()).await.unwrap());
    assert_eq!((one.stats().share, other.stats().share), (1, 0), "there is one seat");
    sleep(ttl + ttl / 4).await;
    let mut held = Vec::new();
    wait("it has all", || {
        held.extend(one.try_acquire(CLIENT));
        held.len() == LIMIT as usize
    })
    .await;
    assert!(other.acquire(CLIENT).await.is_err());

    let left = tokio::spawn({
        let one = one.clone();
        async move { one.leave().await }
    });
    held.truncate(5);
    wait("what it does not need is free", || other.try_acquire(CLIENT).is_ok()).await;
    assert_eq!(one.try_acquire(CLIENT).unwrap_err(), Rejection::Left);
    assert!(!left.is_finished());
    held.clear();
    left.await.unwrap();
    let sessions = server.command(&["HLEN", "{connlimit:}:sessions"]);
    assert_eq!(sessions, redis::Value::Int(1), "it is gone before its time");
    wait("the seat is taken", || other.stats().share == 1).await;

    wait("the other has all", || {
        held.extend(other.try_acquire(CLIENT));
        held.len() == LIMIT as usize
    })
    .await;
    // It dies: handles and connections are gone.
    drop((other, held));
    let third = join(&url, terms()).await.unwrap();
    let mut held = Vec::new();
    wait("the third has all", || {
        held.extend(third.try_acquire(CLIENT));
        held.len() == LIMIT as usize
    })
    .await;
}

#[tokio::test]
async fn a_first_connection_waits_for_a_lease_where_there_are_no_shares() {
    let Some(server) = Server::start(&[]) else { return };
    let url = format!("redis://{}/", server.address());
    let fleet = join(&url, terms().share(0)).await.unwrap();
    assert_eq!(fleet.acquire(CLIENT).await.unwrap_err(), Rejection::ShareUsed, "nothing is granted at first");
    sleep(TTL + TTL / 4).await;
    for name in ["tenant-1", "tenant-2"] {
        let name = FleetClient::named(name);
        assert_eq!(fleet.try_acquire(name).unwrap_err(), Rejection::ShareUsed);
        let _held = fleet.acquire(name).await.unwrap();
    }
    assert_eq!(server.command(&["EXISTS", "{connlimit:}:client:name:tenant-1"]), redis::Value::Int(1));
}

#[tokio::test]
async fn what_cannot_work_is_said_when_joining() {
    let Some(server) = Server::start(&["--requirepass", "secret"]) else { return };
    let address = server.address();
    let without = join(&format!("redis://{address}/"), terms()).await.unwrap_err();
    assert!(matches!(&without, JoinError::Engine(EngineError::Rejected(why)) if why.contains("NOAUTH")), "{without}");
    let wrong = join(&format!("redis://:wrong@{address}/"), terms()).await.unwrap_err();
    assert!(matches!(wrong, JoinError::Engine(_)), "{wrong}");

    let url = format!("redis://:secret@{address}/");
    let _first = join(&url, terms()).await.unwrap();
    let other = join(&url, terms().seats(4)).await.unwrap_err();
    assert_eq!(other, JoinError::OtherTerms { seats: 3, share: 1, ttl: TTL });
    let _another_fleet = join(&url, terms().seats(4).fleet("another")).await.unwrap();
    let _larger = join(&url, Terms::new(LIMIT + 5).seats(3).share(1).ttl(TTL)).await.unwrap();

    let options = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
    let Some(evicting) = Server::start(&options) else { return };
    let evicts = join(&format!("redis://{}/", evicting.address()), terms()).await.unwrap_err();
    assert_eq!(evicts, JoinError::Engine(EngineError::Evicts("allkeys-lru".to_owned())));
    drop(evicting);

    let nobody = join("redis://127.0.0.1:1/", terms()).await.unwrap_err();
    assert!(matches!(nobody, JoinError::Engine(EngineError::Away(_))), "{nobody}");
}
