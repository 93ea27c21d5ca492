//! Values that several blocks of a policy have: spans, counts, percentages, statuses, quantities, payloads.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use weir_model::{Fraction, Payload, Percent, Period, StatusSet, limits};

use super::hash::union_rule;
use crate::resource::Finding;
use crate::resource::decode::{Decoder, Field, Fields};
use crate::yaml::{Scalar, Spanned};

/// Reads one field of a block; `None` when it is not written, or wrong and reported.
pub(super) fn read<T>(
    decoder: &mut Decoder,
    fields: Fields<'_>,
    name: &'static str,
    reader: impl FnOnce(&mut Decoder, Field<'_>) -> Option<T>,
) -> Option<T> {
    reader(decoder, fields.optional(name)?)
}

/// The items of a list of a block; more than `most` are kept and warned about.
pub(super) fn items<'n>(
    decoder: &mut Decoder,
    fields: Fields<'n>,
    name: &'static str,
    most: usize,
) -> Vec<Field<'n>> {
    let list = fields.optional(name);
    list.map(|list| decoder.items(list, most)).unwrap_or_default()
}

/// Replaces a default by what was read.
pub(super) fn overwrite<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// Reports a value that is out of bounds.
pub(super) fn out_of_bounds(decoder: &mut Decoder, field: Field<'_>, label: &str) {
    let message = format!("\"{}\" is out of range", field.name);
    decoder.report(Finding::new("E0303", field.span(), message).label(label.to_owned()));
}

/// A time that passes again and again, so never no time at all.
pub(super) fn period(decoder: &mut Decoder, field: Field<'_>) -> Option<Period> {
    let span = decoder.duration(field)?;
    let period = Period::new(span.value);
    if period.is_none() {
        out_of_bounds(decoder, field, "must be from 1ms to 366 days");
    }
    period
}

/// A time.
pub(super) fn duration(decoder: &mut Decoder, field: Field<'_>) -> Option<Duration> {
    decoder.duration(field).map(|span| span.value)
}

/// A bound on a time; zero switches it off.
pub(super) fn time_bound(decoder: &mut Decoder, field: Field<'_>) -> Option<Option<Duration>> {
    let span = decoder.duration(field)?;
    Some(Some(span.value).filter(|span| !span.is_zero()))
}

/// A whole number of 32 bits.
pub(super) fn count(decoder: &mut Decoder, field: Field<'_>) -> Option<u32> {
    let number = decoder.integer(field, 0..=i64::from(u32::MAX))?;
    u32::try_from(number.value).ok()
}

/// The same where zero switches something off.
pub(super) fn count_or_off(decoder: &mut Decoder, field: Field<'_>) -> Option<Option<NonZeroU32>> {
    count(decoder, field).map(NonZeroU32::new)
}

/// At least one.
pub(super) fn positive(decoder: &mut Decoder, field: Field<'_>) -> Option<NonZeroU32> {
    let number = decoder.integer(field, 1..=i64::from(u32::MAX))?;
    u32::try_from(number.value).ok().and_then(NonZeroU32::new)
}

/// A whole percentage.
pub(super) fn percent(decoder: &mut Decoder, field: Field<'_>) -> Option<Percent> {
    let number = decoder.integer(field, 0..=100)?;
    u64::try_from(number.value).ok().and_then(Percent::new)
}

/// `true` or `false`.
pub(super) fn flag(decoder: &mut Decoder, field: Field<'_>) -> Option<bool> {
    decoder.boolean(field).map(|flag| flag.value)
}

/// Parts of a percentage that count: Envoy's fractions are millionths.
const PERCENT_PARTS: u32 = 10_000;

/// A percentage that may have a fraction, such as `0.5`.
pub(super) fn percentage(decoder: &mut Decoder, field: Field<'_>) -> Option<Fraction> {
    let percent = number(decoder, field, 100)?;
    let parts = (percent * f64::from(PERCENT_PARTS)).round() as u32;
    Fraction::new(parts, 100 * PERCENT_PARTS)
}

/// A number from 0 to 10, in thousandths.
pub(super) fn thousandths(decoder: &mut Decoder, field: Field<'_>) -> Option<u32> {
    let units = number(decoder, field, 10)?;
    Some((units * 1000.0).round() as u32)
}

/// A number from 0 to `most`, which may have a fraction.
fn number(decoder: &mut Decoder, field: Field<'_>, most: u32) -> Option<f64> {
    let Some(number) = field.node.scalar().and_then(Scalar::number) else {
        decoder.wrong_type(field, "a number");
        return None;
    };
    if !(0.0..=f64::from(most)).contains(&number) {
        out_of_bounds(decoder, field, &format!("must be from 0 to {most}"));
        return None;
    }
    Some(number)
}

/// A `Fraction` of Gateway API, as a whole percentage.
pub(super) fn fraction(decoder: &mut Decoder, field: Field<'_>) -> Option<Percent> {
    let fields = decoder.fields(field, &["numerator", "denominator"])?;
    let numerator = fields.required(decoder, "numerator")?;
    let numerator = decoder.integer(numerator, 0..=i64::from(i32::MAX))?;
    let denominator = match fields.optional("denominator") {
        Some(field) => decoder.integer(field, 1..=i64::from(i32::MAX))?.value,
        None => 100,
    };
    if numerator.value > denominator {
        let finding = Finding::new(
            "E0303",
            numerator.span,
            "numerator must be less than or equal to denominator",
        );
        decoder.report(finding.label(format!("the denominator is {denominator}")));
        return None;
    }
    // Both are below 2^31: no overflow.
    let rounded = (200 * numerator.value + denominator) / (2 * denominator);
    if rounded * denominator != 100 * numerator.value {
        let message = format!("the fraction is rounded to {rounded} %");
        let finding = Finding::new("W0317", field.span(), message).label("not a whole percentage");
        decoder.report(finding.effect("the rounded percentage counts"));
    }
    u64::try_from(rounded).ok().and_then(Percent::new)
}

/// A status code inside `range`.
pub(super) fn status(decoder: &mut Decoder, field: Field<'_>, range: RangeInclusive<i64>) -> Option<u16> {
    let number = decoder.integer(field, range)?;
    u16::try_from(number.value).ok()
}

/// A list of status codes, 100 to 599.
pub(super) fn statuses(decoder: &mut Decoder, field: Field<'_>) -> Option<StatusSet> {
    let mut codes = Vec::new();
    for item in decoder.items(field, limits::STATUS_RANGES) {
        let code = status(decoder, item, 100..=599)?;
        codes.push(code..=code);
    }
    StatusSet::of(codes)
}

/// A number of bytes inside `range`, such as `32Ki` (Kubernetes `Quantity`).
pub(super) fn quantity(
    decoder: &mut Decoder,
    field: Field<'_>,
    range: RangeInclusive<u64>,
) -> Option<Spanned<u64>> {
    decoder.quantity(field, range)
}

/// Bytes that a check sends or expects (Envoy Gateway `ActiveHealthCheckPayload`).
pub(super) fn payload(decoder: &mut Decoder, field: Field<'_>) -> Option<Payload> {
    let fields = decoder.fields(field, &["type", "text", "binary"])?;
    let kind = fields.required(decoder, "type")?;
    let word = decoder.choice(kind, &[("Text", "Text"), ("Binary", "Binary")])?;
    let mark = decoder.mark();
    for (owner, name) in [("Text", "text"), ("Binary", "binary")] {
        union_rule(decoder, fields, ("payload type", word.value, owner), name, kind);
    }
    if decoder.failed_since(mark) {
        return None;
    }
    let name = if word.value == "Text" { "text" } else { "binary" };
    let value = fields.optional(name)?;
    let text = decoder.nonempty(value)?;
    let bytes = match name {
        "text" => Some(text.as_bytes().to_vec()),
        _ => weir_wire::base64::decode(&text),
    };
    let payload = bytes.and_then(Payload::new);
    if payload.is_none() {
        let finding = Finding::new("E0303", text.span, "\"binary\" is not base64");
        decoder.report(finding.label("not base64").help("echo -n TEXT | base64"));
    }
    payload
}

/// A name such as `Accept`, in lower case, in the words of what it is for.
pub(super) fn lower(text: &str) -> Arc<str> {
    text.to_ascii_lowercase().into()
}
