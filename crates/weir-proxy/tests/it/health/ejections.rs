//! Ejections: endpoints taken out because of how they answer (rows HC11, HC12).

use super::*;

#[test]
fn hc11_hc12_an_endpoint_that_answers_5xx_in_a_row_is_ejected_and_comes_back() {
    let (good, bad) = (Patient::new("good", 200), Patient::new("bad", 500));
    let passive = PassiveCheck {
        interval: Period::clamped(Duration::from_millis(20)),
        base_ejection: Period::clamped(Duration::from_millis(400)),
        max_ejection_percent: Percent::new(50).unwrap(),
        ..PassiveCheck::default()
    };
    let plan = treat(
        Plan::to(&[good.backend.address, bad.backend.address]),
        judged(passive.clone()),
    );
    let watched = Watched::new(&plan);
    let counts = answers(&watched.rig, 40);
    assert_eq!(counts["500"], 5, "as many as the threshold: {counts:?}");
    assert_eq!(
        watched.said(),
        [format!(
            "{} is ejected for 0.4 s: 5 5xx or no answers in a row",
            bad.backend.address
        )]
    );
    let report = watched.rig.gateway.health();
    let ejected: Vec<bool> = report.ejections.iter().map(|one| one.is_ejected).collect();
    assert_eq!(ejected.iter().filter(|is| **is).count(), 1, "{report:?}");
    bad.set(200);
    watched.wait_for("is back: its ejection is over");
    assert!(answers(&watched.rig, 20).contains_key("bad"));
}

/// Says of itself that it is well, and answers requests as it likes.
fn two_faced(status: &Arc<AtomicU16>) -> Backend {
    let status = Arc::clone(status);
    Backend::answering(move |request| match &*request.line {
        "GET /healthz HTTP/1.1" => respond(200, "", b"well"),
        _ => respond(status.load(Ordering::SeqCst), "", b"two-faced"),
    })
}

#[test]
fn hc12_a_good_probe_ends_an_ejection_long_before_its_time() {
    let status = Arc::new(AtomicU16::new(500));
    let (good, bad) = (Patient::new("good", 200), two_faced(&status));
    let mut spec = judged(PassiveCheck {
        base_ejection: Period::clamped(Duration::from_secs(300)),
        max_ejection_percent: Percent::new(50).unwrap(),
        ..PassiveCheck::default()
    });
    // Time for the requests that must find it ejected.
    spec.health.active = Some(Arc::new(ActiveCheck {
        interval: Period::clamped(Duration::from_secs(1)),
        ..check()
    }));
    let plan = treat(Plan::to(&[good.backend.address, bad.address]), spec);
    let watched = Watched::new(&plan);
    eventually("both are known", || watched.said().len() == 2);
    let begun = Instant::now();
    eventually("it is ejected", || {
        answers(&watched.rig, 2);
        watched.said().len() > 2
    });
    status.store(200, Ordering::SeqCst);
    watched.wait_for("is back from its ejection");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    assert!(answers(&watched.rig, 20).contains_key("two-faced"));
    let address = bad.address;
    assert_eq!(
        watched.said()[2..],
        [
            format!("{address} is ejected for 300 s: 5 5xx or no answers in a row"),
            format!("{address} is back from its ejection: a probe was good"),
        ]
    );
}

#[test]
fn hc11_refused_connections_and_broken_answers_count() {
    let good = Backend::named("good");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let broken = Backend::scripted(|_, stream| {
        if read_head(stream).is_some() {
            let _gone = stream
                .get_mut()
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
        }
    });
    let passive = PassiveCheck {
        consecutive_5xx: NonZeroU32::new(2),
        max_ejection_percent: Percent::ALL,
        ..PassiveCheck::default()
    };
    let watched = Watched::new(&treat(Plan::to(&[good.address, closed]), judged(passive.clone())));
    for _ in 0..12 {
        assert_eq!(watched.rig.get("/").status, 200);
    }
    assert_eq!(
        watched.said(),
        [format!(
            "{closed} is ejected for 30 s: 2 5xx or no answers in a row"
        )]
    );
    let split = PassiveCheck {
        split_local: true,
        consecutive_local: NonZeroU32::new(2),
        ..passive
    };
    let watched = Watched::new(&treat(Plan::to(&[broken.address]), judged(split)));
    for _ in 0..2 {
        let mut client = watched.rig.client();
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        client.response_to("GET").unwrap_err();
    }
    // An answer that begins well takes the count of failures back before it breaks.
    assert!(watched.said().is_empty(), "{:?}", watched.said());
}
