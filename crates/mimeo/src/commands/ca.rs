//! `mimeo ca`: the certificate authority that clients trust when HTTPS is intercepted.

use std::io::Write;

use clap::{Args, Subcommand};
use mimeo_engine::Problem;

use crate::commands::Context;
use crate::exit::Exit;

/// Find, print and install this installation's certificate authority
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Print the path of the certificate, which is made on first need
    Path,
    /// Print the certificate in PEM
    Print,
    /// Say how to make clients trust it
    InstallHelp,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<Exit, Problem> {
    let workspace = context.workspace().await?;
    let authority = workspace.authority().map_err(|error| error.problem())?;
    let path = authority.certificate_path().display().to_string();
    let text = match arguments.action {
        Action::Path => format!("{path}\n"),
        Action::Print => authority.certificate_pem().to_owned(),
        Action::InstallHelp => install_help(&path),
    };
    // A reader that left has seen what it wanted.
    let _ = anstream::stdout().write_all(text.as_bytes());
    Ok(Exit::Ok)
}

fn install_help(path: &str) -> String {
    format!(
        "\
The certificate is at
  {path}

For one command, without installing anything:
  mimeo record -- COMMAND                      sets all of this for COMMAND

For one program:
  curl       curl --cacert {path} …
  Node.js    export NODE_EXTRA_CA_CERTS={path}
  Python     export SSL_CERT_FILE={path} REQUESTS_CA_BUNDLE={path}
  Go         export SSL_CERT_FILE={path}
  git        export GIT_SSL_CAINFO={path}
  AWS        export AWS_CA_BUNDLE={path}
  Java       keytool -importcert -noprompt -alias mimeo -storepass changeit -keystore trust.p12 -file {path}
             and run with -Djavax.net.ssl.trustStore=trust.p12

For the whole machine:
  Debian, Ubuntu   sudo cp {path} /usr/local/share/ca-certificates/mimeo.crt && sudo update-ca-certificates
  Fedora, RHEL     sudo cp {path} /etc/pki/ca-trust/source/anchors/mimeo.pem && sudo update-ca-trust
  macOS            sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {path}
  Windows          certutil -addstore -f Root {path}
  Firefox          Settings, Certificates, Authorities, Import

Whoever has the key beside it can read your HTTPS traffic: remove the certificate when you no longer need it.
"
    )
}
