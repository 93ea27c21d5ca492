//! Numbers of bytes.

use std::ops::RangeInclusive;

use super::{Decoder, Field};
use crate::yaml::{Finding, Spanned};

/// Suffixes and what they stand for (Kubernetes `Quantity`).
const SUFFIXES: [(&str, u64); 13] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("Ei", 1 << 60),
    ("k", 1_000),
    ("K", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000),
];

impl Decoder {
    /// A number of bytes inside `range`, such as `32Ki` (Kubernetes `Quantity`).
    pub fn quantity(&mut self, field: Field<'_>, range: RangeInclusive<u64>) -> Option<Spanned<u64>> {
        let Some(scalar) = field.node.scalar() else {
            self.wrong_type(field, "a number of bytes such as 32Ki");
            return None;
        };
        let text = &*scalar.text;
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let factor = match &text[digits..] {
            "" => Some(1),
            suffix => SUFFIXES
                .iter()
                .find(|(word, _)| *word == suffix)
                .map(|(_, factor)| *factor),
        };
        let number: Option<u64> = text[..digits].parse().ok();
        let (Some(number), Some(factor)) = (number, factor) else {
            let message = format!("\"{}\" is not a number of bytes: \"{text}\"", field.name);
            let help = "write a whole number with Ki, Mi, Gi or nothing, such as 32Ki";
            self.report(Finding::new("E0303", field.span(), message).help(help));
            return None;
        };
        match number.checked_mul(factor).filter(|bytes| range.contains(bytes)) {
            Some(bytes) => Some(Spanned::new(bytes, field.span())),
            None => {
                let label = format!("must be from {} to {} bytes", range.start(), range.end());
                let message = format!("\"{}\" is out of range", field.name);
                self.report(Finding::new("E0303", field.span(), message).label(label));
                None
            }
        }
    }
}
