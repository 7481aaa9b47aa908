//! The program that selects calls, in the language of the kernel's packet filters (BPF).

use std::mem::offset_of;

use nix::libc::{self, seccomp_data, sock_filter};

/// A system call to be watched: those with this number that pass all tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The number on this architecture, such as `libc::SYS_fsync`.
    pub number: i64,
    /// Of its arguments.
    pub tests: Vec<Test>,
}

impl Watched {
    /// Whatever its arguments.
    pub fn every(number: i64) -> Watched {
        Watched { number, tests: Vec::new() }
    }
}

/// A test of an argument (0 to 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// Those of its low 32 bits that the mask selects are one of these values.
    OneOf {
        /// Which.
        argument: usize,
        /// Which bits.
        mask: u32,
        /// At least one.
        values: Vec<u32>,
    },
    /// Its low 32 bits are not this.
    Not {
        /// Which.
        argument: usize,
        /// What not.
        value: u32,
    },
    /// It is not 0, nor a null pointer.
    Something {
        /// Which.
        argument: usize,
    },
}

/// A jump to where the next call is looked for.
const NEXT: u8 = u8::MAX;

/// Selects these, and lets all others and those of other architectures pass.
pub(super) fn program(watched: &[Watched]) -> Vec<sock_filter> {
    const ALLOW: sock_filter = statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW);
    let mut program = vec![load(offset_of!(seccomp_data, arch)), equal(ARCHITECTURE, 1, 0), ALLOW];
    for call in watched {
        let mut block = vec![load(offset_of!(seccomp_data, nr)), equal(call.number as u32, 0, NEXT)];
        call.tests.iter().for_each(|test| block.extend(test.code()));
        block.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_USER_NOTIF));
        let length = block.len();
        for (at, line) in block.iter_mut().enumerate() {
            let far = (length - at - 1) as u8;
            for jump in [&mut line.jt, &mut line.jf] {
                *jump = if *jump == NEXT { far } else { *jump };
            }
        }
        program.extend(block);
    }
    program.push(ALLOW);
    program
}

impl Test {
    fn code(&self) -> Vec<sock_filter> {
        match self {
            Test::OneOf { argument, mask, values } => {
                let mut code =
                    vec![load(low(*argument)), statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, *mask)];
                for (at, &value) in values.iter().enumerate() {
                    let left = (values.len() - at - 1) as u8;
                    code.push(equal(value, left, if left == 0 { NEXT } else { 0 }));
                }
                code
            }
            Test::Not { argument, value } => vec![load(low(*argument)), equal(*value, NEXT, 0)],
            Test::Something { argument } => {
                vec![load(low(*argument)), equal(0, 0, 2), load(low(*argument) ^ 4), equal(0, NEXT, 0)]
            }
        }
    }
}

/// Where the low half of an argument lies.
fn low(argument: usize) -> usize {
    offset_of!(seccomp_data, args) + 8 * argument + if cfg!(target_endian = "big") { 4 } else { 0 }
}

fn load(offset: usize) -> sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset as u32)
}

fn equal(value: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { jt, jf, ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value) }
}

const fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// As linux/audit.h names it: the number of the machine in ELF, 64-bit, little-endian.
const ARCHITECTURE: u32 = {
    let machine = if cfg!(target_arch = "aarch64") { libc::EM_AARCH64 } else { libc::EM_X86_64 };
    0xc000_0000 | machine as u32
};

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would do with a call: whether it is selected.
    fn selects(program: &[sock_filter], number: u32, args: [u64; 6]) -> bool {
        let words: Vec<u32> = [number, ARCHITECTURE, 0, 0]
            .into_iter()
            .chain(args.iter().flat_map(|arg| [*arg as u32, (arg >> 32) as u32]))
            .collect();
        let (mut at, mut value) = (0, 0);
        loop {
            let line = program[at];
            at += 1;
            match u32::from(line.code) {
                code if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => {
                    value = words[line.k as usize / 4]
                }
                code if code == libc::BPF_ALU | libc::BPF_AND | libc::BPF_K => value &= line.k,
                code if code == libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K => {
                    at += usize::from(if value == line.k { line.jt } else { line.jf });
                }
                _ => return line.k == libc::SECCOMP_RET_USER_NOTIF,
            }
        }
    }

    #[test]
    fn calls_are_selected_by_number_and_arguments() {
        let one_of = Test::OneOf { argument: 0, mask: !128, values: vec![1, 9, 5] };
        let tests = vec![one_of, Test::Not { argument: 2, value: 77 }, Test::Something { argument: 3 }];
        let all = program(&[Watched { number: 20, tests }, Watched::every(30), Watched::every(31)]);
        for (number, args, selected) in [
            (30, [0; 6], true),
            (31, [1; 6], true),
            (32, [1; 6], false),
            (20, [0, 0, 0, 1, 0, 0], false),
            (20, [1, 0, 0, 1, 0, 0], true),
            (20, [9 + 128, 0, 0, 1 << 40, 0, 0], true),
            (20, [5, 0, 77, 1, 0, 0], false),
            (20, [5, 0, 78, 0, 0, 0], false),
            (20, [5, 0, 78, 3, 0, 0], true),
        ] {
            assert_eq!(selects(&all, number, args), selected, "{number} {args:?}");
        }
        assert!(!selects(&program(&[]), 30, [0; 6]));
    }
}
