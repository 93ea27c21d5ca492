//! `weir proxy`.

use std::net::SocketAddr;

use clap::Args;

use crate::error::{CommandError, Exit};
use crate::flags::{AdminArgs, Global, PlaneArgs};
use crate::log::Log;
use crate::output;
use crate::proxy_text::ProxyText;
use crate::run::{self, Origin, ServePlan};
use crate::value::{Balance, Target, bind_address, parse_balance, parse_target};

/// Balance over some backends without a configuration file
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  weir proxy --from :8080 --to 10.0.0.7:9000 --to 10.0.0.8:9000
  weir proxy --from 127.0.0.1:8080 --to api.internal:80 --lb hash:header=X-User
  weir proxy --from :8080 --to a:9000 --print-config > weir.yaml")]
pub(crate) struct ProxyArgs {
    /// Address to listen on
    #[arg(long, value_name = "[ADDRESS]:PORT", env = "WEIR_FROM", value_parser = bind_address)]
    from: SocketAddr,

    /// Where to send requests; repeat for several
    #[arg(long, value_name = "HOST:PORT", env = "WEIR_TO", required = true, value_delimiter = ',', value_parser = parse_target)]
    to: Vec<Target>,

    /// How requests are spread: least, rr, random, hash:source-ip, hash:header=NAME, hash:cookie=NAME or
    /// hash:query=NAME
    #[arg(long, value_name = "POLICY", env = "WEIR_LB", default_value = "least", value_parser = parse_balance)]
    lb: Balance,

    /// Number of proxies in front: the client is that entry of X-Forwarded-For, from the right
    #[arg(
        long,
        value_name = "N",
        env = "WEIR_TRUSTED_HOPS",
        conflicts_with = "trusted_cidr"
    )]
    trusted_hops: Option<u32>,

    /// Addresses of the proxies in front: the client is the first other one in X-Forwarded-For, from the right
    #[arg(long, value_name = "CIDR", env = "WEIR_TRUSTED_CIDR", value_delimiter = ',', value_parser = parse_cidr)]
    trusted_cidr: Vec<String>,

    /// Print the configuration that these flags mean, and end
    #[arg(long)]
    print_config: bool,

    #[command(flatten)]
    plane: PlaneArgs,

    #[command(flatten)]
    admin: AdminArgs,
}

fn parse_cidr(text: &str) -> Result<String, String> {
    match weir_model::Cidr::parse(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!(
            "expected an address prefix such as 10.0.0.0/8, got {text:?}"
        )),
    }
}

impl ProxyArgs {
    /// Serves until a signal, or prints the configuration.
    pub(crate) fn execute(&self, global: &Global) -> Result<Exit, CommandError> {
        if self.from.port() == 0 {
            return Err(CommandError::new(
                Exit::Usage,
                "--from needs a port from 1 to 65535",
            ));
        }
        if self.print_config {
            output::print(&self.text())?;
            return Ok(Exit::Ok);
        }
        let plan = ServePlan {
            origin: Origin::Text {
                name: "(flags)".to_owned(),
                text: self.text(),
            },
            flags: self.plane.clone(),
            admin: self.admin.clone(),
            strict: false,
            tenants_address: None,
            pidfile: None,
        };
        run::serve(&plan, Log::new(global))
    }

    fn text(&self) -> String {
        ProxyText {
            from: self.from,
            to: &self.to,
            balance: &self.lb,
            trusted_hops: self.trusted_hops,
            trusted_cidrs: &self.trusted_cidr,
        }
        .text()
    }
}
