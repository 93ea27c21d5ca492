//! Where the admin API is.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::bind_address;

/// A place of the admin API, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AdminPlace {
    /// Nowhere.
    Off,
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Reads `127.0.0.1:19000`, `:19000`, `unix:/run/weir/admin.sock`, or `off`; `0` is `off` too, as controllers say it.
///
/// # Errors
/// Anything else, in words for the user.
pub(crate) fn parse_admin(text: &str) -> Result<AdminPlace, String> {
    if matches!(text, "off" | "0") {
        return Ok(AdminPlace::Off);
    }
    if let Some(path) = text.strip_prefix("unix:") {
        return match path {
            "" => Err("expected a path after unix:".to_owned()),
            path => Ok(AdminPlace::Unix(PathBuf::from(path))),
        };
    }
    let address = bind_address(text);
    address
        .map(AdminPlace::Tcp)
        .map_err(|error| format!("{error}; or unix:PATH, or off"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn op04_places_are_addresses_sockets_or_none() {
        let tcp = |text: &str| Some(AdminPlace::Tcp(text.parse().expect("an address")));
        for (text, expected) in [
            ("off", Some(AdminPlace::Off)),
            ("0", Some(AdminPlace::Off)),
            ("127.0.0.1:0", tcp("127.0.0.1:0")),
            (":8081", tcp("0.0.0.0:8081")),
            ("[::1]:19000", tcp("[::1]:19000")),
            ("unix:/run/a.sock", Some(AdminPlace::Unix("/run/a.sock".into()))),
            ("unix:", None),
            ("on", None),
        ] {
            assert_eq!(parse_admin(text).ok(), expected, "{text}");
        }
    }
}
