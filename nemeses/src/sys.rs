//! The crate's only unsafe code: machine code that runs inside other processes, and system calls that `nix` lacks.

use std::io;

use nix::libc;

/// Sets the soft limit for the data of a process (RLIMIT_DATA, in bytes), no higher than its hard one, and returns the
/// soft limit before.
pub(crate) fn limit_data(pid: i32, bytes: u64) -> io::Result<u64> {
    let mut before = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both structures live on this stack for the call; a null pointer asks for no change.
    let read = unsafe { libc::prlimit64(pid, libc::RLIMIT_DATA, std::ptr::null(), &raw mut before) };
    if read != 0 {
        return Err(io::Error::last_os_error());
    }
    let limit = libc::rlimit64 { rlim_cur: bytes.min(before.rlim_max), ..before };
    // SAFETY: as above.
    let set = unsafe { libc::prlimit64(pid, libc::RLIMIT_DATA, &raw const limit, std::ptr::null_mut()) };
    if set != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(before.rlim_cur)
}

/// What replaces the kernel's own functions in the vDSO of a process.
///
/// It asks the kernel for the time by a system call and adds what its parameters say; it is position-independent and
/// carries its parameters behind it. Layout of a block of parameters, one for CLOCK_REALTIME and its kin, one for
/// CLOCK_MONOTONIC and its kin, in 64-bit words: sequence (odd while it is written), whether it is on, offset (ns), base
/// (ns), rate (in 2^-32), period of a strobe (ns), its offset (ns), end (ns, 0 for none).
///
/// time(t) = t + offset + (t - base) × rate, and in every other period of a strobe its offset more, until the end.
#[cfg(target_arch = "x86_64")]
mod stub {
    use std::slice;

    /// In a register that the kernel ignores when the code above asks for the time: such calls are not to be skewed once more.
    pub(crate) const CLOCK_STUB_MARK: u32 = 0x5ca1_ab1e;

    core::arch::global_asm!(
        r#"
.pushsection .text.squall_clock,"ax",@progbits
.balign 16
.globl squall_clock_start
squall_clock_start:
squall_clock_gettime:
  push rbx
  push r12
  push r13
  mov ebx, edi
  mov r12, rsi
  mov eax, 228
  mov edx, {mark}
  syscall
  test eax, eax
  jnz 9f
  cmp ebx, 31
  ja 9f
  lea r13, [rip + squall_clock_params]
  mov ecx, 0x821          # REALTIME 0, REALTIME_COARSE 5, TAI 11
  bt ecx, ebx
  jc 1f
  mov ecx, 0xd2           # MONOTONIC 1, RAW 4, COARSE 6, BOOTTIME 7
  bt ecx, ebx
  jnc 9f
  add r13, 64
1:
  cmp qword ptr [r13 + 8], 0
  je 8f
  imul r9, [r12], 1000000000
  add r9, [r12 + 8]
  call squall_clock_adjust
  mov rax, r9
  xor edx, edx
  mov ecx, 1000000000
  div rcx
  mov [r12], rax
  mov [r12 + 8], rdx
8:
  xor eax, eax
9:
  pop r13
  pop r12
  pop rbx
  ret
squall_clock_adjust:      # r9: a time, r13: a block; changes rax rcx rdx r8 r10 r11
2:
  mov r8, [r13]
  test r8b, 1
  jz 3f
  pause
  jmp 2b
3:
  mov r10, [r13 + 16]
  mov rax, r9
  sub rax, [r13 + 24]
  mov r11, rax
  imul qword ptr [r13 + 32]
  shrd rax, rdx, 32
  add r10, rax
  mov rcx, [r13 + 40]
  test rcx, rcx
  jz 4f
  mov rax, r11
  cqo
  idiv rcx
  test al, 1
  jz 4f
  add r10, [r13 + 48]
4:
  mov rcx, [r13 + 56]
  test rcx, rcx
  jz 5f
  cmp r9, rcx
  jb 5f
  xor r10d, r10d
5:
  cmp r8, [r13]
  jne 2b
  add r9, r10
  jns 6f
  xor r9d, r9d            # no time before 1970
6:
  ret
squall_clock_timeofday:
  push r12
  sub rsp, 16
  mov r12, rdi
  test r12, r12
  jz 1f
  xor edi, edi
  mov rsi, rsp
  call squall_clock_gettime
  test eax, eax
  jnz 2f
  mov rax, [rsp]
  mov [r12], rax
  mov rax, [rsp + 8]
  xor edx, edx
  mov ecx, 1000
  div rcx
  mov [r12 + 8], rax
1:
  xor eax, eax
2:
  add rsp, 16
  pop r12
  ret
squall_clock_time:
  push r12
  sub rsp, 16
  mov r12, rdi
  xor edi, edi
  mov rsi, rsp
  call squall_clock_gettime
  mov rax, [rsp]
  test r12, r12
  jz 1f
  mov [r12], rax
1:
  add rsp, 16
  pop r12
  ret
.balign 8
squall_clock_params:
  .fill 16, 8, 0
squall_clock_end:
.popsection
.pushsection .rodata.squall_clock,"a",@progbits
.balign 8
.globl squall_clock_layout
squall_clock_layout:
  .quad squall_clock_end - squall_clock_start
  .quad squall_clock_timeofday - squall_clock_start
  .quad squall_clock_time - squall_clock_start
  .quad squall_clock_params - squall_clock_start
.popsection
"#,
        mark = const CLOCK_STUB_MARK
    );

    unsafe extern "C" {
        static squall_clock_layout: [u64; 4];
        static squall_clock_start: u8;
    }

    /// The code, and where in it gettimeofday, time and the parameters are. clock_gettime is at the start.
    pub(crate) fn clock_stub() -> (&'static [u8], [usize; 3]) {
        // SAFETY: the assembler wrote both; they are never changed, and the first word is the length of the code.
        unsafe {
            let [length, timeofday, time, params] = squall_clock_layout;
            let code = slice::from_raw_parts(&raw const squall_clock_start, length as usize);
            (code, [timeofday as usize, time as usize, params as usize])
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use stub::{CLOCK_STUB_MARK, clock_stub};

/// What programs do that are tested on.
#[cfg(test)]
pub(crate) mod raw {
    use nix::errno::Errno;

    use super::libc;

    /// What a clock shows to who asks the kernel itself, in nanoseconds.
    pub(crate) fn clock(clock: i32) -> i64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the structure lives on this stack for the call.
        let read = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, &raw mut time, 0) };
        assert_eq!(read, 0);
        time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    /// The time of day in microseconds, by gettimeofday, and in seconds, by time.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn of_day() -> [i64; 2] {
        let mut time = libc::timeval { tv_sec: 0, tv_usec: 0 };
        // SAFETY: the structure lives on this stack for the call; no time zone is asked for.
        let read = unsafe { libc::syscall(libc::SYS_gettimeofday, &raw mut time, 0) };
        assert_eq!(read, 0);
        // SAFETY: without an argument it only returns a number.
        [time.tv_sec * 1_000_000 + time.tv_usec, unsafe { libc::syscall(libc::SYS_time, 0) }]
    }

    /// Waits until a time of a clock (0 of the day, 1 since boot), in a way: "futex" or "sleep".
    pub(crate) fn wait_until(way: &str, clock: i32, until_ns: i64) -> Errno {
        let mut until =
            libc::timespec { tv_sec: until_ns / 1_000_000_000, tv_nsec: until_ns % 1_000_000_000 };
        // SAFETY: word and time live on this stack for the call; nobody else knows of them.
        let waited = unsafe {
            if way == "futex" {
                let (word, operation) = (7_u32, libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG);
                let operation = if clock == 0 { operation | libc::FUTEX_CLOCK_REALTIME } else { operation };
                libc::syscall(libc::SYS_futex, &raw const word, operation, 7, &raw mut until, 0, -1)
            } else {
                let (call, to) = (libc::SYS_clock_nanosleep, libc::TIMER_ABSTIME);
                libc::syscall(call, clock, to, &raw mut until, 0)
            }
        };
        if waited == 0 { Errno::UnknownErrno } else { Errno::last() }
    }
}
