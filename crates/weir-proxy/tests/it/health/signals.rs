//! What endpoints say of themselves, and defects that must not end probing.

use std::sync::atomic::AtomicBool;

use weir_model::{Algorithm, BalanceSpec, LoadReport};

use super::*;

/// An endpoint whose answers, or those to probes, ask to be taken out while that is wanted.
fn withdrawing(name: &'static str, in_probes: bool) -> (Backend, Arc<AtomicBool>) {
    let wants = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&wants);
    let backend = Backend::answering(move |request| {
        let is_asked = request.line.contains("/healthz") == in_probes && now.load(Ordering::SeqCst);
        let field = match is_asked {
            true => "X-Envoy-Immediate-Health-Check-Fail: true\r\n",
            false => "",
        };
        respond(200, field, name.as_bytes())
    });
    (backend, wants)
}

#[test]
fn hc01_an_endpoint_that_asks_for_it_is_taken_out_until_its_probes_are_good_again() {
    for in_probes in [false, true] {
        let (leaving, wants) = withdrawing("leaving", in_probes);
        let other = Patient::new("other", 200);
        // Long enough that no probe brings it back meanwhile.
        let interval = Period::clamped(Duration::from_millis(if in_probes { 20 } else { 700 }));
        let plan = treat(
            Plan::to(&[leaving.address, other.backend.address]),
            checked(ActiveCheck {
                interval,
                unhealthy_threshold: NonZeroU32::new(5).unwrap(),
                ..check()
            }),
        );
        let watched = Watched::new(&plan);
        eventually("both are known", || watched.said().len() == 2);
        assert_eq!(answers(&watched.rig, 40).len(), 2);
        wants.store(true, Ordering::SeqCst);
        // The answer that asks reaches its client.
        let is_said = || {
            watched
                .said()
                .iter()
                .any(|line| line.contains("it asked for it in an answer"))
        };
        eventually("it is out", || {
            assert_eq!(watched.rig.get("/").status, 200);
            is_said()
        });
        assert_eq!(
            answers(&watched.rig, 20),
            BTreeMap::from([("other".to_owned(), 20)])
        );
        wants.store(false, Ordering::SeqCst);
        eventually("it is back", || answers(&watched.rig, 4).contains_key("leaving"));
    }
}

#[test]
fn without_probes_nobody_can_ask_to_be_taken_out() {
    let (leaving, wants) = withdrawing("leaving", false);
    wants.store(true, Ordering::SeqCst);
    let watched = Watched::new(&Plan::to(&[leaving.address]));
    assert_eq!(
        answers(&watched.rig, 5),
        BTreeMap::from([("leaving".to_owned(), 5)])
    );
    assert!(watched.said().is_empty());
}

#[test]
fn hc01_a_defect_costs_one_probe_and_not_all_that_follow() {
    let (a, b) = (Patient::new("a", 200), Patient::new("b", 200));
    let plan = treat(
        Plan::to(&[a.backend.address, b.backend.address]),
        checked(check()),
    );
    let panics = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&panics);
    // Runs on the prober's thread, in the middle of a probe's task.
    let events = move |event: Event| {
        if matches!(event, Event::EndpointChanged { .. } | Event::ProbePanicked { .. }) {
            count.fetch_add(1, Ordering::SeqCst);
            std::panic::resume_unwind(Box::new("a defect"));
        }
    };
    let options = Options {
        workers: 1,
        reason_header: true,
        seed: Some(7),
        events: Some(Arc::new(events)),
        ..Options::default()
    };
    let rig = Rig::with(&plan, options);
    eventually("both first probes end so", || panics.load(Ordering::SeqCst) >= 4);
    b.set(500);
    eventually("the death of one is found", || {
        !answers(&rig, 8).contains_key("b")
    });
    b.wait_probes(3);
    b.set(200);
    eventually("and its life", || answers(&rig, 8).contains_key("b"));
    let reports = rig.gateway.health().probes;
    assert!(
        reports.iter().all(|report| report.probes > 2 && report.score > 0),
        "{reports:?}"
    );
}

/// Says of itself what `said` says.
fn reporting(name: &'static str, said: &Arc<Mutex<String>>) -> Backend {
    let said = Arc::clone(said);
    Backend::answering(move |_| respond(200, &said.lock().unwrap(), name.as_bytes()))
}

#[test]
fn hc15_an_endpoint_gets_as_much_as_it_says_it_can_take() {
    let said: [Arc<Mutex<String>>; 2] = Default::default();
    let [a, b] = [reporting("a", &said[0]), reporting("b", &said[1])];
    let expiry = Period::clamped(Duration::from_millis(1_000));
    let started = |load_report: Option<LoadReport>| {
        let plan = Plan::to(&[a.address, b.address]).balance(BalanceSpec {
            algorithm: Algorithm::RoundRobin,
            load_report,
            ..BalanceSpec::default()
        });
        Watched::new(&plan)
    };
    let share = |watched: &Watched| answers(&watched.rig, 400).get("a").copied().unwrap_or(0);
    *said[0].lock().unwrap() = "X-Capacity: 25%\r\n".to_owned();
    *said[1].lock().unwrap() = "X-Capacity: 100%\r\n".to_owned();
    let deaf = started(None);
    assert!((190..=210).contains(&share(&deaf)), "{}", share(&deaf));
    assert_eq!(
        deaf.rig
            .get("/")
            .field("x-capacity")
            .map(|value| value.ends_with('%')),
        Some(true)
    );

    let report = LoadReport {
        header: "x-capacity".into(),
        expiry,
        keep: false,
    };
    let watched = started(Some(report.clone()));
    let found = share(&watched);
    assert!((50..115).contains(&found), "one to four: {found}");
    assert_eq!(watched.rig.get("/").field("x-capacity"), None, "taken away");
    // What says nothing that can be read says nothing.
    *said[0].lock().unwrap() = "X-Capacity: lots\r\n".to_owned();
    eventually("what it said is forgotten", || {
        (180..=220).contains(&share(&watched))
    });
    let keeping = started(Some(LoadReport { keep: true, ..report }));
    assert!(keeping.rig.get("/").field("x-capacity").is_some());
}
