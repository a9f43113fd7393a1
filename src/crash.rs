//! The last word of a program that ends by a defect of its own: at which address that was.
//!
//! The static programs are built without the texts of panics, a fourteenth of all that they weigh. A panic there is an instruction
//! that the processor refuses, so that its address is what is left of it. Such a program always lies at the same place, and the
//! symbols that are kept beside it say which function that is (docs/decisions/0021). All panics of one function may have one such
//! instruction: where the processor keeps the place to which the last call came back, that is told too, for it is the line before.

#![allow(
    unsafe_code,
    reason = "a signal's handler, and what the kernel hands to it: no crate tells the address"
)]

use libc::{c_int, c_void, siginfo_t};
use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// What a processor makes of an instruction that stands for "never", `ud2` and `udf` or `brk`; and the end that a program without memory,
/// or a thread without stack, gives itself.
const LAST: [Signal; 3] = [Signal::SIGILL, Signal::SIGTRAP, Signal::SIGABRT];

const NAME: &[u8] = concat!("ostler ", env!("CARGO_PKG_VERSION"), ": ").as_bytes();
const DEFECT: &[u8] = b"a defect of this program ended it at 0x";
const AFTER: &[u8] = b", after 0x";
const ABORTED: &[u8] =
    b"it ended itself; where nothing above says why, its memory or the stack of a thread was used up";
const REPORT: &[u8] = b"; please report this line\n";

/// From here on such an end is told on standard error, before it comes.
///
/// # Errors
/// Where the system refuses the handler.
pub fn tell_where() -> Result<(), Errno> {
    // It runs once, and the instruction is met again after it: then the kernel ends the program as it would have.
    let flags = SaFlags::SA_SIGINFO | SaFlags::SA_RESETHAND | SaFlags::SA_ONSTACK;
    let action = SigAction::new(SigHandler::SigAction(tell), flags, SigSet::empty());
    for signal in LAST {
        // SAFETY: the handler reads what it is given and calls write(2), getpid(2) and raise(3), which a handler may
        // (signal-safety(7)).
        unsafe { sigaction(signal, &action) }?;
    }
    Ok(())
}

extern "C" fn tell(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel gives a handler with `SA_SIGINFO` what it knows of the signal. Of one that it sends itself, with a code above 0,
    // that is the address of the instruction, of others who sent it (sigaction(2)).
    let (by_kernel, address, sender) =
        unsafe { ((*info).si_code > 0, (*info).si_addr(), (*info).si_pid()) };
    let mut line = Line::default();
    if by_kernel {
        line.put(NAME);
        line.put(DEFECT);
        line.put_number(address as usize);
        // SAFETY: what it gives a handler as its third argument is a `ucontext_t`, for as long as the handler runs.
        if let Some(before) = unsafe { came_back_to(context) } {
            line.put(AFTER);
            line.put_number(before);
        }
        line.put(REPORT);
    // SAFETY: it gives a number.
    } else if signal == libc::SIGABRT && sender == unsafe { libc::getpid() } {
        line.put(NAME);
        line.put(ABORTED);
        line.put(REPORT);
    }
    // SAFETY: so many bytes are there. What becomes of them is nothing that could be helped here.
    unsafe { libc::write(libc::STDERR_FILENO, line.text.as_ptr().cast(), line.length) };
    if !by_kernel {
        // SAFETY: as soon as this returns, the program ends by it: its handler is the kernel's own again.
        unsafe { libc::raise(signal) };
    }
}

/// Where the last call came back to.
///
/// # Safety
/// `context` is the third argument of a signal's handler that runs.
#[allow(
    clippy::missing_const_for_fn,
    unused_variables,
    reason = "not every processor keeps it"
)]
unsafe fn came_back_to(context: *mut c_void) -> Option<usize> {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as promised.
    return Some(unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.regs[30] } as usize);
    #[cfg(target_arch = "arm")]
    // SAFETY: as promised.
    return Some(unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.arm_lr } as usize);
    #[cfg(not(any(target_arch = "aarch64", target_arch = "arm")))]
    None
}

/// A line that is made without asking for memory.
struct Line {
    text: [u8; 192],
    length: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            text: [0; 192],
            length: 0,
        }
    }
}

impl Line {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if let Some(place) = self.text.get_mut(self.length..end) {
            place.copy_from_slice(bytes);
            self.length = end;
        }
    }

    fn put_number(&mut self, number: usize) {
        for digit in (0..usize::BITS / 4).rev() {
            let digit = (number >> (digit * 4)) & 0xf;
            self.put(&b"0123456789abcdef"[digit..=digit]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Output};

    use super::*;

    /// What becomes of a program that runs one of the tests below, which end it.
    fn end_of(test: &str) -> Output {
        let test = format!("crash::tests::{test}");
        let this = std::env::current_exe().unwrap();
        let mut command = Command::new(this);
        let command = command.args(["--exact", &test, "--ignored", "--nocapture"]);
        command.output().unwrap()
    }

    fn told(end: &Output) -> Vec<String> {
        let text = String::from_utf8_lossy(&end.stderr);
        let lines = text.lines().filter_map(|line| line.strip_prefix("ostler "));
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn a_refused_instruction_is_told_with_its_address_and_ends_the_program() {
        let end = end_of("meets_a_refused_instruction");
        let [line] = &told(&end)[..] else {
            panic!("{end:?}");
        };
        let (_, place) = line.split_once("ended it at 0x").unwrap();
        let address = place.split([';', ',']).next().unwrap();
        assert_ne!(u64::from_str_radix(address, 16), Ok(0), "{line}");
        assert!(line.ends_with("; please report this line"), "{line}");
        let refused = [Signal::SIGILL, Signal::SIGTRAP].map(|signal| Some(signal as i32));
        assert!(refused.contains(&end.status.signal()), "{end:?}");
    }

    #[test]
    fn a_program_that_aborts_says_that_it_did() {
        let end = end_of("aborts");
        assert!(told(&end).concat().contains("it ended itself"), "{end:?}");
        assert_eq!(end.status.signal(), Some(Signal::SIGABRT as i32));
    }

    #[test]
    fn a_signal_that_somebody_sends_is_no_defect() {
        let end = end_of("is_sent_a_signal");
        assert_eq!(told(&end), [""; 0]);
        assert_eq!(end.status.signal(), Some(Signal::SIGTRAP as i32));
    }

    #[test]
    #[ignore = "it ends the program"]
    fn aborts() {
        tell_where().unwrap();
        std::process::abort();
    }

    #[test]
    #[ignore = "it ends the program"]
    fn meets_a_refused_instruction() {
        tell_where().unwrap();
        // SAFETY: it ends the program, on purpose.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            std::arch::asm!("ud2");
            #[cfg(target_arch = "aarch64")]
            std::arch::asm!("brk #1");
            #[cfg(target_arch = "arm")]
            std::arch::asm!("udf #0");
        }
    }

    #[test]
    #[ignore = "it ends the program"]
    fn is_sent_a_signal() {
        tell_where().unwrap();
        nix::sys::signal::raise(Signal::SIGTRAP).unwrap();
        unreachable!("it has ended");
    }
}
