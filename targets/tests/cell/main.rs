//! The cell for real: clusters of namespaces, as root and without.
//!
//! A binary of its own, since the cell must be entered before there are threads. It is also the program that runs
//! inside: as controller, as agent, and as the target's processes.

mod inside;
mod outside;
mod toy;

use std::env;
use std::process::ExitCode;

use squall_targets::agent;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        [agent::COMMAND] => agent::run(vec![Box::new(toy::Fault::default())]),
        ["listen", port] => toy::listen(port),
        ["visit", names @ ..] => toy::visit(names),
        ["breed"] => toy::breed(),
        ["controller", scenario, logs] => return inside::controller(scenario, logs),
        ["probe"] => inside::probe(),
        _ => return outside::run_all(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
