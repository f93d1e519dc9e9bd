//! The network itself: it does what a plan says, at the byte that it says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use soak::{
    proxy::{Bounds, Fault, Network, Plan, Plans, Proxy, Way},
    random::Random,
};
use std::{collections::BTreeSet, iter, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A network with one connection through it.
struct Road {
    network: Network,
    _proxy: Proxy,
    addr: SocketAddr,
    server: TcpListener,
    told: watch::Sender<Option<SocketAddr>>,
}

/// Every connection has that fault, behind these bytes.
async fn road(fault: Fault, request: u64, response: u64) -> Road {
    let millis = Duration::from_millis;
    let bounds = Bounds {
        request: request..request + 1,
        response: response..response + 1,
        delay: millis(20)..millis(21),
        trickle: millis(1)..millis(2),
        pause: PATIENCE..2 * PATIENCE,
    };
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = Some(server.local_addr().unwrap());
    let (told, upstream) = watch::channel(upstream);
    let network = Network::default();
    let mut random = Random::new(1, 1);
    let plans =
        iter::repeat_with(move || Plan::draw(fault, &bounds, &mut random));
    let proxy = Proxy::start(network.clone(), upstream, plans).await.unwrap();
    let addr = proxy.addr();
    Road { network, _proxy: proxy, addr, server, told }
}

impl Road {
    /// Both ends of a new connection.
    async fn connect(&self) -> (TcpStream, TcpStream) {
        let reader = TcpStream::connect(self.addr).await.unwrap();
        let (server, _) =
            timeout(PATIENCE, self.server.accept()).await.unwrap().unwrap();
        (reader, server)
    }

    fn struck(&self, fault: Fault) -> u64 {
        self.network.tally().struck.get(&fault).copied().unwrap_or_default()
    }
}

/// What comes until the end, and whether that is in order.
async fn read_all(socket: &mut TcpStream) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let read = socket.read_to_end(&mut bytes);
    let end = timeout(PATIENCE, read).await.expect("no end came");
    (bytes, end.is_ok())
}

fn lorem(length: usize) -> Vec<u8> {
    (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

// ANCHOR: cut
#[tokio::test]
async fn a_cut_comes_behind_that_very_byte() {
    let sent = lorem(5_000);
    for at in [1, 777, 4_999] {
        for (fault, is_fin) in
            [(Fault::Fin(Way::Down), true), (Fault::Reset(Way::Down), false)]
        {
            let road = road(fault, 0, at).await;
            let (mut reader, mut server) = road.connect().await;
            // It may be cut while this is on its way.
            let _ = server.write_all(&sent).await;
            let (came, in_order) = read_all(&mut reader).await;
            assert_eq!(in_order, is_fin, "{fault} {at}");
            let at = usize::try_from(at).unwrap();
            // A reset may overtake what came before it.
            assert!(sent[..at].starts_with(&came), "{fault} {at}");
            if is_fin {
                assert_eq!(came.len(), at, "{fault} {at}");
            }
            assert_eq!(road.struck(fault), 1);
            // Both sides are told.
            let mut rest = Vec::new();
            let end = server.read_to_end(&mut rest);
            let end = timeout(PATIENCE, end).await.expect("no end came");
            assert_eq!(end.is_ok(), is_fin, "{fault} {at}");
        }
    }
}
// ANCHOR_END: cut

#[tokio::test]
async fn a_request_is_cut_too() {
    let road = road(Fault::Fin(Way::Up), 7, 0).await;
    let (mut reader, mut server) = road.connect().await;
    reader.write_all(&lorem(100)).await.unwrap();
    assert_eq!(read_all(&mut server).await, (lorem(7), true));
    assert_eq!(read_all(&mut reader).await, (vec![], true));
}

#[tokio::test]
async fn refused_is_reset_before_a_byte() {
    let road = road(Fault::Refuse, 0, 0).await;
    // Already this may fail, on some systems.
    if let Ok(mut reader) = TcpStream::connect(road.addr).await {
        let (came, in_order) = read_all(&mut reader).await;
        assert!(came.is_empty() && !in_order);
    }
    assert_eq!(road.struck(Fault::Refuse), 1);
}

#[tokio::test]
async fn what_is_slow_is_whole() {
    let sent = lorem(300);
    for fault in [
        Fault::Delay(Way::Down),
        Fault::Trickle(Way::Down),
        Fault::Delay(Way::Up),
        Fault::Trickle(Way::Up),
    ] {
        let road = road(fault, 0, 10_000).await;
        let (mut reader, mut server) = road.connect().await;
        let (to, from) = match fault {
            Fault::Delay(Way::Up) | Fault::Trickle(Way::Up) => {
                (&mut reader, &mut server)
            }
            _ => (&mut server, &mut reader),
        };
        to.write_all(&sent).await.unwrap();
        let mut came = vec![0; sent.len()];
        let all = from.read_exact(&mut came);
        timeout(PATIENCE, all).await.unwrap().unwrap();
        assert_eq!(came, sent, "{fault}");
        assert_eq!(road.struck(fault), 1, "{fault}");
    }
}

#[tokio::test]
async fn of_a_half_open_connection_nobody_is_told() {
    for fault in [Fault::HalfOpen(Way::Down), Fault::HalfOpen(Way::Up)] {
        let road = road(fault, 3, 5).await;
        let (mut reader, mut server) = road.connect().await;
        reader.write_all(b"ask").await.unwrap();
        let mut request = [0; 3];
        server.read_exact(&mut request).await.unwrap();
        let _ = server.write_all(b"hello").await;
        if fault == Fault::HalfOpen(Way::Down) {
            reader.read_exact(&mut [0; 5]).await.unwrap();
        }
        // Not even that the server goes.
        server.write_all(b"is there anybody?").await.unwrap();
        server.shutdown().await.unwrap();
        let silence = Duration::from_millis(300);
        let word = timeout(silence, reader.read(&mut [0; 64])).await;
        assert!(word.is_err(), "{fault}: {word:?}");
        assert_eq!(road.struck(fault), 1, "{fault}");
        // Once the reader goes, the connection goes.
        drop(reader);
        let (_, in_order) = read_all(&mut server).await;
        assert!(in_order, "{fault}");
        assert_eq!(road.network.tally().unnoticed, 0);
    }
}

#[tokio::test]
async fn a_pause_stops_the_writer_and_calm_ends_it() {
    let road = road(Fault::Pause, 0, 10).await;
    let (mut reader, mut server) = road.connect().await;
    server.write_all(&lorem(10)).await.unwrap();
    let mut came = vec![0; 10];
    reader.read_exact(&mut came).await.unwrap();
    // More than all buffers on the way.
    let much = lorem(32 * 1024 * 1024);
    let mut written = 0;
    while let Ok(some) =
        timeout(Duration::from_millis(500), server.write(&much[written..]))
            .await
    {
        written += some.unwrap();
        assert!(written < much.len(), "somebody takes it");
    }
    road.network.calm();
    let writer = tokio::spawn(async move {
        server.write_all(&much[written..]).await.unwrap();
        much
    });
    let (came, in_order) = read_all(&mut reader).await;
    assert!(in_order);
    assert!(came == writer.await.unwrap());
}

#[tokio::test]
async fn without_a_server_it_is_reset() {
    let road = road(Fault::Delay(Way::Down), 0, 100).await;
    road.told.send_replace(None);
    let mut reader = TcpStream::connect(road.addr).await.unwrap();
    let (came, in_order) = read_all(&mut reader).await;
    assert!(came.is_empty() && !in_order);
    assert_eq!(road.network.tally().away, 1);
}

#[tokio::test]
async fn when_it_is_calm_nothing_goes_wrong() {
    let road = road(Fault::Fin(Way::Down), 0, 5).await;
    road.network.calm();
    let (mut reader, mut server) = road.connect().await;
    server.write_all(&lorem(1_000)).await.unwrap();
    drop(server);
    assert_eq!(read_all(&mut reader).await, (lorem(1_000), true));
    assert_eq!(road.struck(Fault::Fin(Way::Down)), 0);
}

#[test]
fn every_fault_comes_before_any_comes_again() {
    let plans = |seed| {
        let random = Random::new(seed, 0);
        Plans::new(random, Bounds::default(), Fault::ALL.to_vec())
    };
    let text = |seed| format!("{:?}", plans(seed).take(24).collect::<Vec<_>>());
    assert_eq!(text(1), text(1));
    assert_ne!(text(1), text(2));
    let faults: Vec<_> = plans(1).take(24).map(|plan| plan.fault()).collect();
    for deck in faults.chunks(12) {
        assert_eq!(deck.iter().collect::<BTreeSet<_>>().len(), 12);
    }
}
