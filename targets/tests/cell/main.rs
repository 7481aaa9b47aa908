//! The cell for real: clusters of namespaces, as root and without.
//!
//! A binary of its own, since the cell must be entered before there are threads. It is also the program that runs
//! inside: as controller, as agent, and as the target's processes.

mod inside;
mod outside;
mod refkv;
mod toy;

use std::env;
use std::process::ExitCode;

use squall_targets::agent;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        // As the agent and the nodes' processes are called, which no test runner does.
        ["squall", agent::COMMAND] => agent::run(vec![Box::new(toy::Fault::default())]),
        ["squall", "listen", port] => toy::listen(port),
        ["squall", "visit", names @ ..] => toy::visit(names),
        ["squall", "refkv", ..] => refkv::serve(),
        ["squall", "breed"] => toy::breed(),
        [_, "--probe"] => inside::probe(),
        [_, "--controller", scenario, logs] => return inside::controller(scenario, logs),
        args => return outside::run_all(args.get(1..).unwrap_or_default()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
