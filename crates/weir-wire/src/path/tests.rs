//! Tests of paths (RFC 3986 5.2.4, 6.2.2).

use proptest::prelude::*;

use super::PathError::*;
use super::*;

#[test]
fn row20_clean_paths_are_borrowed() {
    for path in [
        "/",
        "/a",
        "/a/",
        "/a/b.c",
        "/a;b=c/d",
        "/~x/-_.",
        "/a:b@c!$&'()*+,=",
        "/a|{}^`\"<>[]",
    ] {
        let normal = normalise(path.as_bytes()).unwrap();
        assert!(matches!(normal.path, Cow::Borrowed(_)), "{path}");
        assert_eq!((&*normal.path, normal.query), (path, None));
    }
}

#[test]
fn queries_are_split_off_and_left_alone() {
    for (target, path, query) in [
        ("/a?b=c", "/a", Some("b=c")),
        ("/a?", "/a", Some("")),
        ("/a?b?c", "/a", Some("b?c")),
        ("/a?/../%2f%00\\%zz//", "/a", Some("/../%2f%00\\%zz//")),
        ("/./a?b", "/a", Some("b")),
        ("", "/", None),
        ("?b", "/", Some("b")),
    ] {
        let normal = normalise(target.as_bytes()).unwrap();
        assert_eq!((&*normal.path, normal.query), (path, query), "{target}");
    }
}

#[test]
fn row20_paths_that_are_rewritten() {
    for (target, expected) in [
        ("//", "/"),
        ("///", "/"),
        ("//a", "/a"),
        ("/a//b", "/a/b"),
        ("/a//", "/a/"),
        ("/./a", "/a"),
        ("/a/./b", "/a/b"),
        ("/a/.", "/a/"),
        ("/.", "/"),
        ("/a/../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/..", "/"),
        ("/a/../", "/"),
        ("/a/b/../../c", "/c"),
        ("/a//../b", "/b"),
        ("/a/b/c/./../../g", "/a/g"),
        ("/%2e/a", "/a"),
        ("/a/%2E%2e/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/a/%2e./b", "/b"),
        ("/.a", "/.a"),
        ("/..a", "/..a"),
        ("/...", "/..."),
        ("/a/.b.", "/a/.b."),
        ("/.well-known/x", "/.well-known/x"),
        ("/%61%7A%30%2D%2e%5F%7e", "/az0-._~"),
        ("/%e2%82%ac", "/%E2%82%AC"),
        ("/%ff%C0%AF", "/%FF%C0%AF"),
        ("/a%20b", "/a%20b"),
        ("/a%3fb%23", "/a%3Fb%23"),
        ("/%3b%3B", "/%3B%3B"),
        ("/%25", "/%25"),
        ("/%252e%252e/a", "/%252e%252e/a"),
        ("/%252F", "/%252F"),
    ] {
        let normal = normalise(target.as_bytes()).unwrap();
        assert_eq!(normal.path, expected, "{target}");
    }
}

#[test]
fn row20_paths_that_are_refused() {
    for (target, expected) in [
        ("a", Form),
        ("*", Form),
        ("%2Fa", Form),
        ("/a%2Fb", EscapeForbidden),
        ("/a%2fb", EscapeForbidden),
        ("/..%2f", EscapeForbidden),
        ("/a%5Cb", EscapeForbidden),
        ("/a%5cb", EscapeForbidden),
        ("/a%00", EscapeForbidden),
        ("/a\\b", Byte),
        ("/..\\a", Byte),
        ("/a b", Byte),
        ("/a\tb", Byte),
        ("/a\0", Byte),
        ("/a\r\n", Byte),
        ("/a#b", Byte),
        ("/a?b#c", Byte),
        ("/a?b c", Byte),
        ("/\u{e9}", Byte),
        ("/a?\u{e9}", Byte),
        ("/\u{7f}", Byte),
        ("/%", Escape),
        ("/%4", Escape),
        ("/a%4?b", Escape),
        ("/%zz", Escape),
        ("/%4g", Escape),
        ("/%%41", Escape),
        ("/%+1", Escape),
        ("/%u0041", Escape),
        ("/..", AboveRoot),
        ("/../a", AboveRoot),
        ("/%2e%2e/a", AboveRoot),
        ("/a/../../b", AboveRoot),
        ("/./../a", AboveRoot),
        ("/a/..;/b", DotParameter),
        ("/..;x/b", DotParameter),
        ("/a/.;/b", DotParameter),
        ("/a/%2e%2e;/b", DotParameter),
    ] {
        assert_eq!(normalise(target.as_bytes()), Err(expected), "{target:?}");
        assert_eq!(expected.status(), 400);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn row20_normalising_twice_changes_nothing_more(
        pieces in proptest::collection::vec(
            prop_oneof![
                Just("/"), Just("/"), Just("."), Just(".."), Just("a"), Just("%2e"), Just("%41"), Just("%c3"),
                Just(";"), Just("?"), Just("%2f"), Just("b/c"), Just("%"),
            ],
            0..12,
        ),
    ) {
        let target = format!("/{}", pieces.concat());
        if let Ok(normal) = normalise(target.as_bytes()) {
            let again = normalise(normal.path.as_bytes()).unwrap();
            prop_assert_eq!(&again.path, &normal.path);
            prop_assert!(again.query.is_none());
            prop_assert!(normal.path.starts_with('/') && !normal.path.contains("//"));
            prop_assert!(normal.path.split('/').all(|segment| segment != "." && segment != ".."));
            let is_plain = normal.path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\".contains(&byte));
            prop_assert!(is_plain);
        }
    }

    #[test]
    fn any_bytes_are_taken_or_refused(target in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = normalise(&target);
    }
}
