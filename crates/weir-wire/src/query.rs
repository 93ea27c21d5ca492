//! Query parameters, raw: nothing is percent-decoded, `+` is no space.

/// The first value of the parameter `name` (case-sensitive) in a query without its `?`. A parameter without `=`
/// has the empty value.
#[must_use]
pub fn value<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    pairs(query).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// All parameters in order; empty pieces are skipped.
pub fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_value_raw() {
        let query = "a=1&b=%20+&a=2&&c&d==x&=e";
        for (name, expected) in [
            ("a", Some("1")),
            ("b", Some("%20+")),
            ("c", Some("")),
            ("d", Some("=x")),
            ("", Some("e")),
            ("e", None),
            ("A", None),
        ] {
            assert_eq!(value(query, name), expected, "{name}");
        }
        assert_eq!(pairs("").count(), 0);
        assert_eq!(pairs(query).count(), 6);
    }
}
