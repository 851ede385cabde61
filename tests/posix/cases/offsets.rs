//! One open file description, many descriptors: who shares an offset.

use crate::case::{Dir, Outcome, cases, content, write_all};
use crate::sys::{self, Raw};
use libc::{F_DUPFD, SEEK_CUR, SEEK_SET};

cases![
    dup_shares_the_offset,
    fcntl_dupfd_shares_the_offset,
    fork_shares_the_offset_both_ways,
    a_child_of_a_child_shares_the_offset,
    parent_and_child_writing_in_turn_do_not_overwrite,
    concurrent_writers_of_one_description_do_not_overwrite,
    exec_keeps_the_descriptor_and_its_offset,
    exec_as_standard_output_continues_at_the_offset,
    scm_rights_shares_the_offset,
    scm_rights_survives_the_closing_of_the_senders_descriptor,
    closing_one_duplicate_keeps_the_other,
    flags_are_shared_by_duplicates,
    reopening_through_proc_self_fd_is_a_new_description,
    dev_fd_leads_back_to_the_file,
];

fn dup_shares_the_offset(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abcdef");
    let copy = sys::dup(&fd)?;
    sys::lseek(&fd, 2, SEEK_SET)?;
    let mut byte = [0; 1];
    sys::read(&copy, &mut byte)?;
    assert_eq!(&byte, b"c");
    assert_eq!(sys::lseek(&fd, 0, SEEK_CUR)?, 3);
    Ok(())
}

fn fcntl_dupfd_shares_the_offset(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abcdef");
    let copy = sys::Fd::own(sys::fcntl(&fd, F_DUPFD, 50)?);
    assert_eq!(copy.raw(), 50);
    write_all(&copy, b"XY");
    assert_eq!(sys::lseek(&fd, 0, SEEK_CUR)?, 2);
    Ok(())
}

fn fork_shares_the_offset_both_ways(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abcdef");
    sys::fork(|| assert_eq!(sys::lseek(&fd, 4, SEEK_SET), Ok(4))).succeeds();
    assert_eq!(sys::lseek(&fd, 0, SEEK_CUR)?, 4);
    sys::lseek(&fd, 1, SEEK_SET)?;
    sys::fork(|| assert_eq!(sys::lseek(&fd, 0, SEEK_CUR), Ok(1))).succeeds();
    Ok(())
}

fn a_child_of_a_child_shares_the_offset(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    sys::fork(|| {
        write_all(&fd, b"1");
        sys::fork(|| write_all(&fd, b"2")).succeeds();
        write_all(&fd, b"3");
    })
    .succeeds();
    write_all(&fd, b"4");
    assert_eq!(content(d.at("f")), b"1234");
    Ok(())
}

fn parent_and_child_writing_in_turn_do_not_overwrite(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    for round in 0..20_u8 {
        sys::fork(|| write_all(&fd, &[round])).succeeds();
        write_all(&fd, &[100 + round]);
    }
    let expected: Vec<u8> = (0..20).flat_map(|round| [round, 100 + round]).collect();
    assert_eq!(content(d.at("f")), expected);
    Ok(())
}

fn concurrent_writers_of_one_description_do_not_overwrite(d: &Dir) -> Outcome {
    const EACH: usize = 3000;
    let fd = d.open("f", b"");
    let write_many = |byte: u8| (0..EACH).for_each(|_| write_all(&fd, &[byte; 7]));
    let child = sys::fork(|| write_many(b'c'));
    write_many(b'p');
    child.succeeds();
    let bytes = content(d.at("f"));
    assert_eq!(bytes.len(), 2 * 7 * EACH);
    assert!(
        bytes
            .chunks(7)
            .all(|record| record == [b'c'; 7] || record == [b'p'; 7]),
        "a record is torn"
    );
    assert_eq!(bytes.iter().filter(|byte| **byte == b'c').count(), 7 * EACH);
    Ok(())
}

fn exec_keeps_the_descriptor_and_its_offset(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abcdef");
    sys::lseek(&fd, 2, SEEK_SET)?;
    let number = fd.raw().to_string();
    let child = sys::fork_with(|| sys::exec_role(&["read-and-expect", &number, "cd"]).0);
    child.succeeds();
    assert_eq!(
        sys::lseek(&fd, 0, SEEK_CUR)?,
        4,
        "the exec'ed program moved the shared offset"
    );
    Ok(())
}

fn exec_as_standard_output_continues_at_the_offset(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    write_all(&fd, b"one\n");
    let child = sys::fork_with(|| {
        sys::dup2(&fd, 1).expect("dup2");
        sys::exec(
            c"/bin/sh",
            &[
                c"sh".into(),
                c"-c".into(),
                c"echo two; /bin/echo three".into(),
            ],
        )
        .0
    });
    child.succeeds();
    write_all(&fd, b"four\n");
    assert_eq!(content(d.at("f")), b"one\ntwo\nthree\nfour\n");
    Ok(())
}

fn scm_rights_shares_the_offset(d: &Dir) -> Outcome {
    let (here, there) = sys::socketpair()?;
    // The receiver exists before the file is open, so it knows the descriptor from the message alone.
    let child = sys::fork(|| {
        let fd = sys::receive_fd(&there).expect("a descriptor");
        let mut two = [0; 2];
        assert_eq!(sys::read(&fd, &mut two), Ok(2));
        assert_eq!(&two, b"cd");
        assert_eq!(sys::fstat(&fd).expect("fstat").st_size, 6);
    });
    let fd = d.open("f", b"abcdef");
    sys::lseek(&fd, 2, SEEK_SET)?;
    sys::send_fd(&here, &fd)?;
    child.succeeds();
    assert_eq!(sys::lseek(&fd, 0, SEEK_CUR)?, 4);
    Ok(())
}

fn scm_rights_survives_the_closing_of_the_senders_descriptor(d: &Dir) -> Outcome {
    let (here, there) = sys::socketpair()?;
    let fd = d.open("f", b"abcdef");
    sys::send_fd(&here, &fd)?;
    fd.close()?;
    sys::unlink(d.at("f"))?;
    let received = sys::receive_fd(&there)?;
    let mut bytes = [0; 6];
    assert_eq!(sys::read(&received, &mut bytes)?, 6);
    assert_eq!(&bytes, b"abcdef");
    Ok(())
}

fn closing_one_duplicate_keeps_the_other(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    let copy = sys::dup(&fd)?;
    fd.close()?;
    sys::unlink(d.at("f"))?;
    let mut bytes = [0; 3];
    assert_eq!(sys::read(&copy, &mut bytes)?, 3);
    assert_eq!(&bytes, b"abc");
    Ok(())
}

fn flags_are_shared_by_duplicates(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let copy = sys::dup(&fd)?;
    let flags = sys::fcntl(&fd, libc::F_GETFL, 0)?;
    sys::fcntl(
        &fd,
        libc::F_SETFL,
        flags | libc::O_APPEND | libc::O_NONBLOCK,
    )?;
    let seen = sys::fcntl(&copy, libc::F_GETFL, 0)?;
    assert_eq!(
        seen & (libc::O_APPEND | libc::O_NONBLOCK),
        libc::O_APPEND | libc::O_NONBLOCK
    );
    assert_eq!(seen & libc::O_ACCMODE, libc::O_RDWR);
    Ok(())
}

fn reopening_through_proc_self_fd_is_a_new_description(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abcdef");
    sys::lseek(&fd, 3, SEEK_SET)?;
    let again = sys::open(format!("/proc/self/fd/{}", fd.raw()), libc::O_RDONLY, 0)?;
    let mut byte = [0; 1];
    sys::read(&again, &mut byte)?;
    assert_eq!(&byte, b"a");
    assert_eq!(sys::lseek(&fd, 0, SEEK_CUR)?, 3);
    assert_eq!(sys::fstat(&again)?.st_ino, sys::fstat(&fd)?.st_ino);
    Ok(())
}

fn dev_fd_leads_back_to_the_file(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    assert_eq!(content(format!("/dev/fd/{}", fd.raw())), b"abc");
    assert_eq!(sys::stat(format!("/proc/self/fd/{}", fd.raw()))?.st_size, 3);
    let link = sys::readlink(format!("/proc/self/fd/{}", fd.raw()), 4096)?;
    assert_eq!(link, d.at("f").into_os_string());
    Ok(())
}
