//! What a lookup allocates: nothing on the plain path.

use allocation_counter::measure;
use weir_route::{RequestParts, Router};

use crate::support::{listener, matches, route, section};

#[test]
fn bx09_a_lookup_allocates_nothing() {
    let mut rules = matches(&[
        "/",
        "=/exact",
        "/a/b/c",
        "/m POST: x:1 ?q=1",
        "~/r/[a-z]+",
        "/q ?q=~[0-9]+",
    ]);
    rules.extend((0..20).map(|at| crate::support::matching(&format!("/t tenant:t{at}"))));
    let routes = [route("only", None, vec![rules])];
    let sections = vec![
        section("*", &[(0, &["*", "*.example.com", "www.example.com"])]),
        section("b.com", &[]),
    ];
    let router = Router::build(&listener(sections), &routes);
    let headers = [("accept", "*/*"), ("x", "1"), ("tenant", "t19")];
    let find = |host: &str, path: &str| {
        let request = RequestParts {
            host,
            path,
            query: Some("p=1&q=1"),
            method: "POST",
            headers: &headers,
        };
        router.find(&request).is_ok()
    };
    for (host, path, served) in [
        ("www.example.com", "/exact", true),
        ("a.b.example.com", "/a/b/c/d", true),
        ("unknown", "/nothing", true),
        ("www.example.com", "/m", true),
        ("www.example.com", "/r/abc", true),
        ("www.example.com", "/q", true),
        ("www.example.com", "/t", true),
        ("b.com", "/", false),
        ("", "*", false),
    ] {
        // The first match of an expression on a thread makes that thread's cache.
        assert_eq!(find(host, path), served, "{host}{path}");
        let counted = measure(|| assert!(find(host, path) == served));
        assert_eq!(counted.count_total, 0, "{host}{path}");
    }
}
