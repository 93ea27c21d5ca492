//! Connections that are opened ahead of requests (feature row LB30).

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::breakers::{asking, gated, plan};
use crate::harness::{Backend, Rig, endpoint, eventually};
use weir_model::{Breakers, ConnectionSpec, EndpointSource, Preconnect, ProxyProtocol, Tier};

fn ahead(endpoint_percent: Option<u32>, predictive_percent: Option<u32>) -> ConnectionSpec {
    ConnectionSpec {
        preconnect: Some(Preconnect {
            endpoint_percent,
            predictive_percent,
        }),
        ..ConnectionSpec::default()
    }
}

/// Time in which a connection too many would be opened.
fn settle() {
    std::thread::sleep(Duration::from_millis(50));
}

#[test]
fn lb30_a_request_that_opens_a_connection_opens_more_ahead() {
    let breakers = |connections, endpoint_connections| Breakers {
        connections,
        endpoint_connections,
        ..Breakers::default()
    };
    let with_header = ConnectionSpec {
        proxy_protocol: Some(ProxyProtocol::V2),
        ..ahead(Some(300), None)
    };
    let once = ConnectionSpec {
        requests_max: NonZeroU32::new(1),
        ..ahead(Some(200), None)
    };
    for (breakers, connection, connections) in [
        (Breakers::default(), ConnectionSpec::default(), 1),
        (Breakers::default(), ahead(Some(100), None), 1),
        (Breakers::default(), ahead(Some(101), None), 2),
        (Breakers::default(), ahead(Some(200), None), 2),
        (Breakers::default(), ahead(Some(300), None), 3),
        (Breakers::default(), ahead(None, Some(300)), 3),
        (Breakers::default(), ahead(None, Some(100_000)), 9),
        (Breakers::default(), ahead(Some(200), Some(300)), 3),
        (Breakers::default(), once, 2),
        (Breakers::default(), with_header, 1),
        (breakers(1, u32::MAX), ahead(Some(300), Some(300)), 1),
        (breakers(u32::MAX, 1), ahead(Some(300), Some(300)), 1),
        (breakers(2, u32::MAX), ahead(Some(300), Some(300)), 2),
    ] {
        let is_open = Arc::new(AtomicBool::new(false));
        let backend = gated(&is_open);
        let rig = Rig::new(&plan(&[backend.address], breakers, connection));
        let mut client = asking(&rig);
        let opened = || backend.connections() >= connections;
        eventually("they are opened", opened);
        settle();
        assert_eq!(backend.connections(), connections, "{breakers:?} {connection:?}");
        is_open.store(true, Ordering::SeqCst);
        if connection.proxy_protocol.is_none() {
            assert_eq!(client.response().status, 200);
        }
    }
}

#[test]
fn lb30_the_next_request_uses_what_was_opened_ahead() {
    let once = ConnectionSpec {
        requests_max: NonZeroU32::new(1),
        ..ahead(Some(200), None)
    };
    for connection in [ahead(Some(200), None), once] {
        let is_open = Arc::new(AtomicBool::new(false));
        let backend = gated(&is_open);
        let rig = Rig::new(&plan(&[backend.address], Breakers::default(), connection));
        let mut held = vec![asking(&rig)];
        eventually("one is held, one ahead", || {
            (backend.requests(), backend.connections()) == (1, 2)
        });
        settle();
        held.push(asking(&rig));
        eventually("two are held", || backend.requests() == 2);
        settle();
        assert_eq!(backend.connections(), 2, "nothing was opened");
        // The third has to open one, and opens more for the next.
        held.push(asking(&rig));
        eventually("more are opened", || backend.connections() == 6);
        settle();
        assert_eq!(backend.connections(), 6);
        is_open.store(true, Ordering::SeqCst);
        held.iter_mut()
            .for_each(|client| assert_eq!(client.response().status, 200));
    }
}

#[test]
fn lb30_a_limit_is_kept_and_a_request_that_waits_gets_what_is_open() {
    let is_open = Arc::new(AtomicBool::new(false));
    let backends = [gated(&is_open), gated(&is_open)];
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    let breakers = Breakers {
        connections: 2,
        ..Breakers::default()
    };
    let rig = Rig::new(&plan(&addresses, breakers, ahead(Some(300), None)));
    let mut held = vec![asking(&rig)];
    let connections = || backends.iter().map(Backend::connections).sum::<usize>();
    eventually("the limit is reached", || connections() == 2);
    settle();
    assert_eq!(connections(), 2);
    // The next endpoint's request finds all places taken: the unused connection makes room.
    held.push(asking(&rig));
    eventually("both have one", || {
        backends.iter().all(|backend| backend.requests() == 1)
    });
    is_open.store(true, Ordering::SeqCst);
    held.iter_mut()
        .for_each(|client| assert_eq!(client.response().status, 200));
}

#[test]
fn lb30_predicted_connections_go_where_there_are_fewest_in_the_same_tier() {
    let backends = [Backend::named("a"), Backend::named("b"), Backend::named("c")];
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    let mut plan = plan(&addresses, Breakers::default(), ahead(None, Some(400)));
    let mut last = endpoint(addresses[2]);
    last.tier = Tier::new(1).unwrap();
    plan.backends[0].1 =
        EndpointSource::Static([endpoint(addresses[0]), endpoint(addresses[1]), last].into());
    let rig = Rig::new(&plan);
    assert_eq!(rig.get("/").status, 200);
    eventually("they are opened", || {
        backends[0].connections() + backends[1].connections() == 4
    });
    settle();
    let each: Vec<_> = backends.iter().map(Backend::connections).collect();
    assert_eq!(each, [2, 2, 0]);
}
