use super::*;
use crate::cpu::{self, ASKED, AVX, AVX512};

/// The file's tests are about one process-wide setting.
fn with_features(features: u32, f: impl Fn()) {
    cpu::set(features & cpu::ask());
    f();
    cpu::set(cpu::ask());
}

#[test]
fn every_length_and_alignment_is_copied_exactly_in_every_way() {
    let from: Vec<u8> = (0..3000u32).map(|i| (i * 7 + i / 256) as u8).collect();
    for way in [Way::Usual, Way::Wide, Way::Past] {
        for len in (0..300).chain(500..530).chain([700, 767, 768, 1025, 2048, 2500]) {
            for shift in (0..17).chain([31, 32, 33, 63, 64, 65]) {
                for features in [ASKED, ASKED | AVX, ASKED | AVX | AVX512] {
                    with_features(features, || {
                        let mut to = vec![0xEE; 3000];
                        // SAFETY: shift + len + 1 < 3000 on both sides.
                        let left = unsafe { copy_by(way, to.as_mut_ptr().add(shift), from.as_ptr().add(shift / 2), len) };
                        assert_eq!(left, 0);
                        assert_eq!(&to[shift..shift + len], &from[shift / 2..shift / 2 + len], "{way:?}, length {len}");
                        let outside = to[..shift].iter().chain(&to[shift + len..]).all(|b| *b == 0xEE);
                        assert!(outside, "{way:?}, length {len} wrote outside");
                    });
                }
            }
        }
    }
}

/// Lets faults of the copy routines end them, as the shim's handler does.
#[cfg(target_arch = "x86_64")]
fn catch_faults() {
    unsafe extern "C" fn arrive(signal: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
        // SAFETY: the kernel's machine context; a fault anywhere else happens again, with the default action.
        unsafe {
            let ip = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_RIP as usize];
            match recover(*ip as usize) {
                Some(out) => *ip = out as i64,
                None => _ = libc::signal(signal, libc::SIG_DFL),
            }
        }
    }
    // SAFETY: plain data, then a handler of the type that the flags say.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = arrive as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
        libc::sigaction(libc::SIGSEGV, &action, std::ptr::null_mut());
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_bad_address_ends_the_copy_at_that_very_byte() {
    use crate::units::PAGE;
    use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect};
    catch_faults();
    let map = || {
        // SAFETY: a new mapping anywhere, whose last page nobody may touch.
        unsafe {
            let at = mmap_anonymous(std::ptr::null_mut(), 3 * PAGE, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE).unwrap();
            mprotect(at.byte_add(2 * PAGE), PAGE, MprotectFlags::empty()).unwrap();
            at.cast::<u8>()
        }
    };
    let (bad, good) = (map(), map());
    // SAFETY: two pages each.
    unsafe { (0..2 * PAGE).for_each(|i| [bad, good].iter().for_each(|p| *p.add(i) = (i * 13 + i / 256) as u8)) };
    for way in [Way::Usual, Way::Wide, Way::Past] {
        for there in (0..200).chain([255, 256, 257, 511, 513, 1000, 4096, 5000]) {
            for len in [there + 1, there + 150, there + 700] {
                with_features(!0, || {
                    let (from, len) = (2 * PAGE - there, len.min(2 * PAGE));
                    // What fits into registers is all or nothing.
                    let expected = |left| left == len - there || len <= x86_64::SMALL && left == len;
                    // SAFETY: the part behind the second page faults, which is what is tried.
                    let left = unsafe { copy_by(way, good, bad.add(from), len) };
                    assert!(expected(left), "{way:?}: source, {there} of {len}: {left}");
                    let n = len - left;
                    // SAFETY: up to `there` bytes on both sides.
                    unsafe { assert_eq!(std::slice::from_raw_parts(good, n), std::slice::from_raw_parts(bad.add(from), n)) };
                    // SAFETY: as above.
                    let left = unsafe { copy_by(way, bad.add(from), good, len) };
                    assert!(expected(left) || len <= x86_64::SMALL, "{way:?}: target, {there} of {len}: {left}");
                });
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn what_runs_into_a_bad_address_has_no_length_and_is_not_writable() {
    use crate::units::PAGE;
    use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect};
    catch_faults();
    // SAFETY: a new mapping anywhere, whose last page nobody may touch; each string begins in the page before it.
    unsafe {
        let at = mmap_anonymous(std::ptr::null_mut(), 2 * PAGE, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE).unwrap();
        mprotect(at.byte_add(PAGE), PAGE, MprotectFlags::empty()).unwrap();
        let bad = at.cast::<u8>().add(PAGE);
        for there in 0..70 {
            let from = bad.sub(there);
            bad.sub(70).write_bytes(b'x', 70);
            assert!(!is_writable(from, there + 1));
            assert!(there == 0 || is_writable(from, there));
            assert_eq!(length(from), None, "{there}");
            for len in 0..there {
                from.add(len).write(0);
                assert_eq!(length(from), Some(len), "{len} of {there}");
                from.add(len).write(b'x');
            }
        }
    }
}
