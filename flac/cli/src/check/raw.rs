//! System calls that a program makes by itself, without libc: guessed from its code.
//!
//! The instruction is looked for at every byte of the executable segments, without disassembling. It may be data or part of another
//! instruction; a constant that is put into the number's register just before it makes it *likely*.

use object::Architecture;
use std::collections::{BTreeMap, BTreeSet};

/// What was found in one file.
#[derive(Default, Clone)]
pub struct RawCalls {
    /// Likely calls: how many of each number.
    pub likely: BTreeMap<u32, usize>,
    /// Instructions whose number is not known.
    pub possible: usize,
    /// Bytes looked at.
    pub code: usize,
    /// Which of io_uring's numbers are put into the register of the first argument, as for `syscall(SYS_io_uring_enter, ...)`.
    pub io_uring_by_number: BTreeSet<u32>,
}

/// How far before the instruction its number may be loaded.
const BEFORE: usize = 28;
/// No call has a higher number.
const HIGHEST: u32 = 500;
/// io_uring_setup, io_uring_enter, io_uring_register: the same on all machines.
pub const IO_URING: std::ops::RangeInclusive<u32> = 425..=427;

impl RawCalls {
    /// Whether one of the likely calls is io_uring's.
    pub fn uses_io_uring(&self) -> bool {
        IO_URING.into_iter().any(|number| self.likely.contains_key(&number))
    }

    /// Likely calls that concern files, by name.
    pub fn of_files(&self, architecture: Architecture) -> Vec<(&'static str, usize)> {
        self.likely.iter().filter_map(|(number, count)| Some((name(architecture, *number)?, *count))).collect()
    }

    /// Whether there are more instructions of unknown number than random bytes of that length would have.
    pub fn is_suspicious(&self) -> bool {
        self.possible > 2 + 4 * self.code / 65536
    }
}

/// Adds what is in `code`.
pub fn scan(architecture: Architecture, code: &[u8], found: &mut RawCalls) {
    found.code += code.len();
    let calls: Box<dyn Iterator<Item = Option<u32>>> = match architecture {
        Architecture::X86_64 => {
            let loads = code.windows(5).enumerate().filter(|(_, bytes)| bytes[0] == 0xbf && IO_URING.contains(&u32_at(bytes, 1)));
            let calls = loads.filter(|(at, _)| is_variadic_call(&code[at.saturating_sub(BEFORE)..code.len().min(at + 5 + BEFORE)]));
            found.io_uring_by_number.extend(calls.map(|(_, bytes)| u32_at(bytes, 1)));
            let at = (0..code.len().saturating_sub(1)).filter(|at| code[*at..*at + 2] == [0x0f, 0x05]);
            Box::new(at.map(|at| number_x86(&code[at.saturating_sub(BEFORE)..at]).filter(|_| uses_result(&code[at + 2..]))))
        }
        Architecture::Aarch64 => {
            let at = (0..code.len() / 4).map(|n| n * 4).filter(|at| u32_at(code, *at) == 0xd400_0001);
            Box::new(at.map(|at| number_aarch64(&code[at.saturating_sub(BEFORE)..at])))
        }
        _ => return,
    };
    for number in calls {
        match number {
            Some(number) => *found.likely.entry(number).or_default() += 1,
            None => found.possible += 1,
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// The constant that was put into eax last: `mov eax, N`, `mov rax, N`; or `xor eax, eax`, but only just before, since that is everywhere.
fn number_x86(before: &[u8]) -> Option<u32> {
    let load = |at: usize| match before[at..] {
        [0xb8, _, _, _, _, ..] => Some(u32_at(before, at + 1)),
        [0x48, 0xc7, 0xc0, _, _, _, _, ..] => Some(u32_at(before, at + 3)),
        [0x31, 0xc0] => Some(0),
        _ => None,
    };
    (0..before.len()).rev().filter_map(load).next().filter(|number| *number < HIGHEST)
}

/// Whether `after` begins as what compilers put behind the instruction: the result is moved, tested or compared, or the function ends.
/// In big programs the instruction's two bytes are often part of something else.
fn uses_result(after: &[u8]) -> bool {
    matches!(
        after,
        [0x48 | 0x49, 0x3d | 0x63 | 0x85 | 0x89 | 0x8b, ..]
            | [0x48, 0x83, 0xf8, ..]
            | [0x83, 0xf8, ..]
            | [0x3d | 0x85 | 0x89 | 0xc3, ..]
            | [0x41, 0x89, ..]
    )
}

/// Whether eax becomes 0 and a call stands behind that, as for a function with variable arguments such as `syscall`.
fn is_variadic_call(code: &[u8]) -> bool {
    let cleared = (0..code.len()).position(|at| code[at..].starts_with(&[0x31, 0xc0]) || code[at..].starts_with(&[0xb8, 0, 0, 0, 0]));
    cleared.is_some_and(|at| code[at..].windows(2).any(|bytes| bytes[0] == 0xe8 || bytes == [0xff, 0x15]))
}

/// The constant that was put into x8 or w8 last.
fn number_aarch64(before: &[u8]) -> Option<u32> {
    let load = |word: u32| matches!(word & 0xffe0_001f, 0xd280_0008 | 0x5280_0008).then_some((word >> 5) & 0xffff);
    before.rchunks_exact(4).find_map(|bytes| load(u32_at(bytes, 0))).filter(|number| *number < HIGHEST)
}

/// The call with this number if it concerns files. Those that mostly serve other purposes (`close`, `mmap`) are left out.
fn name(architecture: Architecture, number: u32) -> Option<&'static str> {
    let column = |(_, x86, arm): &(&str, i32, i32)| if architecture == Architecture::Aarch64 { *arm } else { *x86 };
    FILE_CALLS.iter().find(|call| i64::from(column(call)) == i64::from(number)).map(|call| call.0)
}

/// Name, number on x86-64, number on aarch64 (-1: none).
const FILE_CALLS: [(&str, i32, i32); 64] = [
    ("read", 0, 63),
    ("write", 1, 64),
    ("open", 2, -1),
    ("stat", 4, -1),
    ("fstat", 5, 80),
    ("lstat", 6, -1),
    ("lseek", 8, 62),
    ("pread64", 17, 67),
    ("pwrite64", 18, 68),
    ("readv", 19, 65),
    ("writev", 20, 66),
    ("access", 21, -1),
    ("sendfile", 40, 71),
    ("flock", 73, 32),
    ("fsync", 74, 82),
    ("fdatasync", 75, 83),
    ("truncate", 76, 45),
    ("ftruncate", 77, 46),
    ("getdents", 78, -1),
    ("chdir", 80, 49),
    ("rename", 82, -1),
    ("mkdir", 83, -1),
    ("rmdir", 84, -1),
    ("creat", 85, -1),
    ("link", 86, -1),
    ("unlink", 87, -1),
    ("symlink", 88, -1),
    ("readlink", 89, -1),
    ("chmod", 90, -1),
    ("fchmod", 91, 52),
    ("chown", 92, -1),
    ("fchown", 93, 55),
    ("lchown", 94, -1),
    ("getdents64", 217, 61),
    ("openat", 257, 56),
    ("mkdirat", 258, 34),
    ("mknodat", 259, 33),
    ("fchownat", 260, 54),
    ("newfstatat", 262, 79),
    ("unlinkat", 263, 35),
    ("renameat", 264, 38),
    ("linkat", 265, 37),
    ("symlinkat", 266, 36),
    ("readlinkat", 267, 78),
    ("fchmodat", 268, 53),
    ("faccessat", 269, 48),
    ("splice", 275, 76),
    ("vmsplice", 278, 75),
    ("utimensat", 280, 88),
    ("fallocate", 285, 47),
    ("preadv", 295, 69),
    ("pwritev", 296, 70),
    ("renameat2", 316, 276),
    ("copy_file_range", 326, 285),
    ("preadv2", 327, 286),
    ("pwritev2", 328, 287),
    ("statx", 332, 291),
    ("openat2", 437, 437),
    ("faccessat2", 439, 439),
    ("io_setup", 206, 0),
    ("io_submit", 209, 2),
    ("io_uring_setup", 425, 425),
    ("io_uring_enter", 426, 426),
    ("io_uring_register", 427, 427),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(architecture: Architecture, code: &[u8]) -> RawCalls {
        let mut found = RawCalls::default();
        scan(architecture, code, &mut found);
        found
    }

    #[test]
    fn a_number_just_before_the_instruction_is_believed() {
        // mov eax, 257; mov edi, ebx; syscall; ret
        let found = scanned(Architecture::X86_64, &[0xb8, 1, 1, 0, 0, 0x89, 0xdf, 0x0f, 0x05, 0xc3]);
        assert_eq!(found.of_files(Architecture::X86_64), [("openat", 1)]);
        // xor eax, eax; syscall; test eax, eax
        assert_eq!(scanned(Architecture::X86_64, &[0x31, 0xc0, 0x0f, 0x05, 0x85, 0xc0]).of_files(Architecture::X86_64), [("read", 1)]);
        // mov rax, 426; syscall; mov rbx, rax
        assert!(scanned(Architecture::X86_64, &[0x48, 0xc7, 0xc0, 0xaa, 1, 0, 0, 0x0f, 0x05, 0x48, 0x89, 0xc3]).uses_io_uring());
        // mov x8, 56; svc 0
        let code: Vec<u8> = [0xd280_0708u32, 0xd400_0001].iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(scanned(Architecture::Aarch64, &code).of_files(Architecture::Aarch64), [("openat", 1)]);
    }

    #[test]
    fn an_instruction_without_a_number_is_only_possible() {
        let found = scanned(Architecture::X86_64, &[0x89, 0xc8, 0x0f, 0x05, 0x0f]);
        assert_eq!((found.likely.len(), found.possible, found.is_suspicious()), (0, 1, false));
        assert!(scanned(Architecture::X86_64, &[0x0f, 0x05].repeat(40)).is_suspicious());
        assert_eq!(scanned(Architecture::X86_64, &[0x0f]).possible, 0);
    }
}
