//! Every checker against its bar: `cargo bench -p squall-checkers --bench bars`.
//!
//! Prints for each row its size, the time on the CPU of all cores together (the best of a few rounds), wall-clock time, the most memory
//! held beyond the input, and the bars of the design beside them. `-- TEXT` runs the rows whose names hold the text.
//!
//! `-- --quick` measures no time: it runs small inputs and fails where a checker allocates more bytes, or takes more
//! steps, for each operation than its row allows. What it asserts does not depend on the machine.

mod case;
mod collection;
mod domain;
mod isolation;
mod linear;
mod lists;
mod polygraph;
mod weak;

#[path = "../../tests/common/collections.rs"]
mod collections;
#[path = "../../tests/common/counting.rs"]
mod counting;
#[path = "../../tests/common/isolated.rs"]
mod isolated;
#[path = "../../tests/common/random.rs"]
mod random;
#[path = "../../tests/common/registers.rs"]
mod registers;
#[path = "../../tests/common/simulated.rs"]
mod simulated;
#[path = "../../tests/common/stores.rs"]
mod stores;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use case::Case;
use counting::{Counting, counted};
use nix::time::{ClockId, clock_gettime};
use squall_checkers::Verdict;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Rounds of a row, unless they take longer than a few seconds.
const ROUNDS: usize = 5;
const ENOUGH: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let quick = args.iter().any(|arg| arg == "--quick");
    let wanted = |case: &Case| args.iter().all(|arg| arg == "--quick" || case.name.contains(arg.as_str()));
    let cases = [
        linear::cases(),
        collection::cases(),
        weak::cases(),
        isolation::cases(),
        lists::cases(),
        domain::cases(),
        polygraph::cases(),
    ];
    let cases = cases.into_iter().flatten().filter(wanted);
    if quick { self::quick(cases) } else { table(cases) }
}

fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("Linux has this clock").into()
}

fn table(cases: impl Iterator<Item = Case>) -> ExitCode {
    println!(
        "{:<46} {:>9} {:>9} {:>9} {:>7} {:>9} {:>7}  met",
        "row", "size", "CPU ms", "bar", "wall ms", "MiB", "bar"
    );
    let mut code = ExitCode::SUCCESS;
    for case in cases {
        let (input, checker) = ((case.input)(case.size), (case.checker)());
        let (Some(verdict), allocated) = counted(|| input.judge(checker.as_ref())) else {
            println!("{:<46} {:>9}", case.name, "no file");
            continue;
        };
        let (mut cpu_ms, mut wall_ms) = (f64::INFINITY, f64::INFINITY);
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            let (cpu_before, wall_before) = (cpu(), Instant::now());
            drop(input.judge(checker.as_ref()));
            cpu_ms = cpu_ms.min((cpu() - cpu_before).as_secs_f64() * 1e3);
            wall_ms = wall_ms.min(wall_before.elapsed().as_secs_f64() * 1e3);
            if begun.elapsed() > ENOUGH {
                break;
            }
        }
        let mib = allocated.peak as f64 / (1 << 20) as f64;
        let met = case.bar_ms.is_none_or(|bar| cpu_ms <= bar) && case.bar_mib.is_none_or(|bar| mib <= bar);
        let bar = |bar: Option<f64>| bar.map_or_else(|| "-".to_owned(), |bar| format!("{bar:.0}"));
        println!(
            "{:<46} {:>9} {cpu_ms:>9.1} {:>9} {wall_ms:>7.1} {mib:>9.1} {:>7}  {}",
            case.name,
            case.size,
            bar(case.bar_ms),
            bar(case.bar_mib),
            if met { "yes" } else { "NO" }
        );
        code = worse(code, right(&case, &verdict));
    }
    code
}

fn quick(cases: impl Iterator<Item = Case>) -> ExitCode {
    println!(
        "{:<46} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "row", "size", "bytes/op", "allowed", "steps/op", "allowed"
    );
    let mut code = ExitCode::SUCCESS;
    for case in cases {
        let (input, checker) = ((case.input)(case.quick), (case.checker)());
        let (verdict, allocated) = counted(|| input.judge(checker.as_ref()));
        let Some(verdict) = verdict else { continue };
        let bytes = allocated.total / case.quick;
        let steps = ["configurations", "steps"].iter().find_map(|name| verdict.stats.get(*name)?.as_f64());
        let steps = steps.map(|steps| steps / case.quick as f64);
        let within = bytes <= case.quick_bytes_per_op
            && case.quick_steps_per_op.is_none_or(|bound| steps.is_some_and(|steps| steps <= bound));
        let text =
            |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |number| format!("{number:.1}"));
        println!(
            "{:<46} {:>9} {bytes:>9} {:>9} {:>9} {:>9}{}",
            case.name,
            case.quick,
            case.quick_bytes_per_op,
            text(steps),
            text(case.quick_steps_per_op),
            if within { "" } else { "  TOO MUCH" }
        );
        let within = if within { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        code = worse(worse(code, within), right(&case, &verdict));
    }
    code
}

/// Success if the verdict is as expected.
fn right(case: &Case, verdict: &Verdict) -> ExitCode {
    if verdict.valid == case.valid {
        return ExitCode::SUCCESS;
    }
    println!("  expected {:?}, got {:?}: {}", case.valid, verdict.valid, verdict.summary);
    ExitCode::FAILURE
}

fn worse(a: ExitCode, b: ExitCode) -> ExitCode {
    if a == ExitCode::SUCCESS { b } else { a }
}
