//! `O_APPEND` takes the end of the file at every write.

use crate::case::{Dir, Outcome, cases, content, write_all};
use crate::sys;
use libc::{F_GETFL, F_SETFL, O_APPEND, O_RDWR, O_WRONLY};

cases![
    two_descriptors_interleave,
    seeking_does_not_matter_for_writes,
    append_follows_a_truncation,
    pwrite_with_append_goes_to_the_end,
    append_can_be_switched_on_and_off,
    reading_has_the_offset_of_the_last_write,
    two_processes_lose_no_record,
    separate_opens_in_four_processes_lose_no_record,
];

fn two_descriptors_interleave(d: &Dir) -> Outcome {
    let path = d.file("f", b"");
    let (one, two) = (
        sys::open(&path, O_WRONLY | O_APPEND, 0)?,
        sys::open(&path, O_WRONLY | O_APPEND, 0)?,
    );
    for _ in 0..3 {
        write_all(&one, b"a");
        write_all(&two, b"bb");
    }
    assert_eq!(content(path), b"abbabbabb");
    Ok(())
}

fn seeking_does_not_matter_for_writes(d: &Dir) -> Outcome {
    let path = d.file("f", b"abc");
    let fd = sys::open(&path, O_WRONLY | O_APPEND, 0)?;
    sys::lseek(&fd, 0, libc::SEEK_SET)?;
    write_all(&fd, b"d");
    assert_eq!(content(path), b"abcd");
    Ok(())
}

fn append_follows_a_truncation(d: &Dir) -> Outcome {
    let path = d.file("f", b"abcdef");
    let fd = sys::open(&path, O_WRONLY | O_APPEND, 0)?;
    write_all(&fd, b"g");
    sys::truncate(&path, 2)?;
    write_all(&fd, b"h");
    assert_eq!(content(path), b"abh");
    Ok(())
}

fn pwrite_with_append_goes_to_the_end(d: &Dir) -> Outcome {
    let path = d.file("f", b"abc");
    let fd = sys::open(&path, O_WRONLY | O_APPEND, 0)?;
    assert_eq!(sys::pwrite(&fd, b"d", 0)?, 1);
    assert_eq!(
        content(path),
        b"abcd",
        "as Linux does, against POSIX; see BUGS in pwrite(2)"
    );
    assert_eq!(sys::lseek(&fd, 0, libc::SEEK_CUR)?, 0);
    Ok(())
}

fn append_can_be_switched_on_and_off(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    let flags = sys::fcntl(&fd, F_GETFL, 0)?;
    assert_eq!(flags & O_APPEND, 0);
    sys::fcntl(&fd, F_SETFL, flags | O_APPEND)?;
    assert_eq!(sys::fcntl(&fd, F_GETFL, 0)? & O_APPEND, O_APPEND);
    write_all(&fd, b"d");
    sys::fcntl(&fd, F_SETFL, flags)?;
    sys::lseek(&fd, 0, libc::SEEK_SET)?;
    write_all(&fd, b"X");
    assert_eq!(content(d.at("f")), b"Xbcd");
    Ok(())
}

fn reading_has_the_offset_of_the_last_write(d: &Dir) -> Outcome {
    let path = d.file("f", b"abc");
    let fd = sys::open(&path, O_RDWR | O_APPEND, 0)?;
    let mut byte = [0; 1];
    sys::read(&fd, &mut byte)?;
    assert_eq!(&byte, b"a");
    write_all(&fd, b"d");
    assert_eq!(sys::read(&fd, &mut byte)?, 0);
    Ok(())
}

const RECORDS: usize = 2000;

fn record(writer: usize, number: usize) -> String {
    format!("{writer}:{number}:{}\n", "x".repeat(number % 200))
}

fn append_records(fd: &sys::Fd, writer: usize) {
    for number in 0..RECORDS {
        let record = record(writer, number);
        assert_eq!(sys::write(fd, record.as_bytes()), Ok(record.len()));
    }
}

fn expect_records(text: &[u8], writers: usize) {
    let text = String::from_utf8(text.to_vec()).expect("only ASCII was written");
    let mut next = vec![0; writers];
    for line in text.split_inclusive('\n') {
        let writer: usize = line
            .split(':')
            .next()
            .and_then(|field| field.parse().ok())
            .expect("a whole record");
        assert_eq!(line, record(writer, next[writer]));
        next[writer] += 1;
    }
    assert_eq!(
        next,
        vec![RECORDS; writers],
        "every record is there once, in order"
    );
}

fn two_processes_lose_no_record(d: &Dir) -> Outcome {
    let path = d.file("f", b"");
    let fd = sys::open(&path, O_WRONLY | O_APPEND, 0)?;
    let child = sys::fork(|| append_records(&fd, 1));
    append_records(&fd, 0);
    child.succeeds();
    expect_records(&content(path), 2);
    Ok(())
}

fn separate_opens_in_four_processes_lose_no_record(d: &Dir) -> Outcome {
    let path = d.file("f", b"");
    let work = |writer| {
        append_records(
            &sys::open(&path, O_WRONLY | O_APPEND, 0).expect("open"),
            writer,
        )
    };
    let children: Vec<sys::Child> = (0..4).map(|writer| sys::fork(|| work(writer))).collect();
    children.into_iter().for_each(sys::Child::succeeds);
    expect_records(&content(path), 4);
    Ok(())
}
