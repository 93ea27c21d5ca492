//! The annotation `weir.dev/weight` of EndpointSlices and Backends: how much each endpoint takes (rows LB04, LB07).
//!
//! It is one number for all endpoints of the object, or a list of `NAME=NUMBER` with the endpoint's name or address.

use weir_model::{Weight, limits};

use crate::resource::Placed;
use crate::yaml::{Finding, Span};

/// The weights of an object's endpoints.
#[derive(Debug)]
pub(crate) struct Weights<'a> {
    all: Weight,
    named: Vec<Named<'a>>,
    span: Span,
}

#[derive(Debug)]
struct Named<'a> {
    name: &'a str,
    weight: Weight,
    is_used: bool,
}

impl<'a> Weights<'a> {
    /// What the object says; `None` when it says nothing, or nothing that can be understood, which is a finding.
    pub(crate) fn read(placed: &'a Placed, findings: &mut Vec<(&'a Placed, Finding)>) -> Option<Self> {
        let written = placed.resource.metadata.weight.as_ref()?;
        match parse(&written.value) {
            Ok((all, named)) => Some(Self {
                all,
                named,
                span: written.span,
            }),
            Err(part) => {
                let message = format!("\"{part}\" is no weight in the annotation weir.dev/weight");
                let help = format!(
                    "write one number from 0 to {} for all endpoints, or a list such as 10.0.0.1=5, 10.0.0.2=1",
                    limits::WEIGHT_MAX
                );
                let finding = Finding::new("W0235", written.span, message)
                    .label("not a weight")
                    .help(help)
                    .effect("all its endpoints have the weight 1");
                findings.push((placed, finding));
                None
            }
        }
    }

    /// The weight of the endpoint that has these names.
    pub(crate) fn of(&mut self, names: &[&str]) -> Weight {
        let mut named = self.named.iter_mut();
        match named.find(|one| names.contains(&one.name)) {
            Some(one) => {
                one.is_used = true;
                one.weight
            }
            None => self.all,
        }
    }

    /// Says which names nobody has.
    pub(crate) fn finish(self, placed: &'a Placed, findings: &mut Vec<(&'a Placed, Finding)>) {
        for one in self.named.iter().filter(|one| !one.is_used) {
            let message = format!("no endpoint here is called \"{}\"", one.name);
            let finding = Finding::new("W0235", self.span, message)
                .label("names an endpoint that is not there")
                .effect("this weight has no effect");
            findings.push((placed, finding));
        }
    }
}

/// The weight of all that are not named, and of those that are; the part that cannot be understood.
fn parse(text: &str) -> Result<(Weight, Vec<Named<'_>>), &str> {
    let number = |text: &str| text.trim().parse().ok().and_then(Weight::new);
    if let Some(all) = number(text) {
        return Ok((all, Vec::new()));
    }
    let parts = text.split(',').map(str::trim);
    let named = parts.map(|part| -> Result<Named<'_>, &str> {
        let (name, weight) = part.rsplit_once('=').ok_or(part)?;
        Ok(Named {
            name: name.trim(),
            weight: number(weight).ok_or(part)?,
            is_used: false,
        })
    });
    Ok((Weight::ONE, named.collect::<Result<_, &str>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lb04_weights_are_numbers_for_all_or_by_name() {
        type Case = (
            &'static str,
            Result<(u32, &'static [(&'static str, u32)]), &'static str>,
        );
        let cases: [Case; 10] = [
            ("5", Ok((5, &[]))),
            (" 0 ", Ok((0, &[]))),
            ("1000000", Ok((1_000_000, &[]))),
            ("1000001", Err("1000001")),
            ("-1", Err("-1")),
            ("", Err("")),
            ("10.0.0.1=5, pod-2 = 0", Ok((1, &[("10.0.0.1", 5), ("pod-2", 0)]))),
            ("[::1]:80=3", Ok((1, &[("[::1]:80", 3)]))),
            ("a=5,", Err("")),
            ("a=5, b=many", Err("b=many")),
        ];
        for (text, expected) in cases {
            let found = parse(text).map(|(all, named)| {
                let named = named.iter().map(|one| (one.name, one.weight.number()));
                (all.number(), named.collect::<Vec<_>>())
            });
            assert_eq!(
                found,
                expected.map(|(all, named)| (all, named.to_vec())),
                "{text:?}"
            );
        }
    }
}
