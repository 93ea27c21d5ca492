//! GatewayClasses: which Gateways are ours (Gateway API GatewayClass).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::index::{Index, Object};
use super::options::Options;
use super::reporter::Reporter;
use crate::nearest::nearest;
use crate::resource::{Gateway, GatewayClass, Reference};
use crate::status::{Condition, Status, StatusBody};
use crate::yaml::Finding;

/// Which classes exist and who serves them.
#[derive(Debug)]
pub(crate) struct Classes<'a> {
    by_name: BTreeMap<&'a str, Served<'a>>,
}

/// Who serves a class.
#[derive(Clone, Copy, Debug)]
enum Served<'a> {
    /// We do, under this controller name.
    ByUs(&'a Arc<str>),
    /// Somebody else does.
    ByOthers(&'a Arc<str>),
}

impl<'a> Classes<'a> {
    /// Judges every GatewayClass. Only our own get a status.
    pub(crate) fn judge(
        index: &Index<'a>,
        options: &Options,
        statuses: &mut Vec<Status>,
        reporter: &mut Reporter,
    ) -> Self {
        let mut by_name = BTreeMap::new();
        for class in index.classes.iter() {
            let controller = &class.spec.controller.value;
            if options.controller_names.contains(controller) {
                by_name.insert(class.name(), Served::ByUs(controller));
                if let Some(parameters) = &class.spec.parameters {
                    report_parameters(index, class, parameters, reporter);
                }
                statuses.push(accepted(class));
            } else {
                by_name.insert(class.name(), Served::ByOthers(controller));
            }
        }
        Self { by_name }
    }

    /// The controller name under which a Gateway is served; `None` when it is not ours.
    pub(crate) fn controller_of(
        &self,
        gateway: Object<'a, Gateway>,
        options: &Options,
        reporter: &mut Reporter,
    ) -> Option<Arc<str>> {
        let class = &gateway.spec.class;
        match self.by_name.get(&*class.value) {
            Some(Served::ByUs(controller)) => Some((*controller).clone()),
            Some(Served::ByOthers(controller)) => {
                let message = format!(
                    "GatewayClass {} belongs to the controller {controller}",
                    class.value
                );
                let ours = options
                    .controller_names
                    .first()
                    .map(|name| &**name)
                    .unwrap_or_default();
                reporter.add(
                    gateway.placed,
                    Finding::new("N0202", class.span, message)
                        .label("not a class of weir")
                        .help(format!(
                            "to serve this Gateway here, name a GatewayClass with controllerName {ours}"
                        ))
                        .effect("weir does not serve this Gateway nor its routes"),
                );
                None
            }
            None => self.undefined(gateway, options, reporter),
        }
    }

    /// A Gateway whose class no object defines.
    fn undefined(
        &self,
        gateway: Object<'a, Gateway>,
        options: &Options,
        reporter: &mut Reporter,
    ) -> Option<Arc<str>> {
        let class = &gateway.spec.class;
        let ours = options
            .controller_names
            .first()
            .filter(|_| options.classless_gateways)
            .cloned();
        let message = format!("no GatewayClass {} is defined", class.value);
        let help = match nearest(&class.value, self.by_name.keys().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => "define it, with controllerName weir.dev/gateway-controller".to_string(),
        };
        let finding = match ours {
            Some(_) => {
                Finding::new("N0201", class.span, message).effect("weir serves this Gateway all the same")
            }
            None => Finding::new("E0203", class.span, message).effect("this Gateway is not served"),
        };
        reporter.add(gateway.placed, finding.label("not defined").help(help));
        ours
    }
}

fn accepted(class: Object<'_, GatewayClass>) -> Status {
    Status {
        object: class.id().clone(),
        generation: class.placed.resource.metadata.generation,
        body: StatusBody::Conditions(vec![Condition::yes(
            "Accepted",
            "Accepted",
            "The class is served by weir.",
        )]),
    }
}

/// weir has no use for parameters; Envoy Gateway's examples carry an EnvoyProxy.
fn report_parameters(
    index: &Index<'_>,
    class: Object<'_, GatewayClass>,
    parameters: &Reference,
    reporter: &mut Reporter,
) {
    let found = index.unserved.iter().any(|placed| {
        let object = &placed.resource.object;
        object.kind == parameters.kind && object.name == parameters.name.value
    });
    let (code, message) = match found {
        true => (
            "N0204",
            format!("weir has no use for the parameters in {}", parameters.kind),
        ),
        false => (
            "W0204",
            format!("there is no {} {}", parameters.kind, parameters.name.value),
        ),
    };
    reporter.add(
        class.placed,
        Finding::new(code, parameters.span, message)
            .help("settings of the weir process are flags and environment variables")
            .effect("the class is served without parameters"),
    );
}
