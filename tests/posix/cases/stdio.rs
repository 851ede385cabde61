//! Streams on files.

use crate::case::{Dir, Outcome, cases, content, fails, pattern};
use crate::sys::{self, Raw, fopen};
use libc::{SEEK_CUR, SEEK_END, SEEK_SET};

cases![
    mode_r_reads_and_refuses_to_write,
    mode_w_truncates_or_creates,
    mode_a_appends_wherever_it_is,
    mode_r_plus_reads_and_writes,
    mode_w_plus_reads_back,
    mode_a_plus_reads_from_the_start_and_writes_at_the_end,
    mode_x_is_exclusive_and_e_closes_on_exec,
    fopen_errors,
    new_files_get_mode_666_less_umask,
    getline_and_getc_read_lines,
    ungetc_pushes_back,
    seek_and_tell_agree_with_the_file,
    seeking_past_the_end_and_writing_leaves_a_hole,
    end_of_file_and_error_flags,
    fdopen_starts_at_the_offset_and_closes,
    freopen_switches_files,
    freopen_changes_the_mode,
    fileno_names_the_descriptor,
    unbuffered_writes_arrive_at_once,
    line_buffered_writes_arrive_with_the_newline,
    fully_buffered_writes_arrive_at_flush,
    fflush_gives_read_ahead_back,
    large_transfers_round_trip,
    fprintf_formats,
    tmpfile_reads_back,
    switching_between_reading_and_writing,
    stream_and_descriptor_agree_after_flush,
    fclose_reports_and_frees_the_descriptor,
    offsets_beyond_4_gib,
];

fn mode_r_reads_and_refuses_to_write(d: &Dir) -> Outcome {
    let mut stream = fopen(d.file("f", b"abcdef"), "r")?;
    assert_eq!(stream.read(4), b"abcd");
    let written = stream.write(b"x");
    assert!(written == 0 || stream.flush().is_err());
    drop(stream);
    assert_eq!(content(d.at("f")), b"abcdef");
    Ok(())
}

fn mode_w_truncates_or_creates(d: &Dir) -> Outcome {
    for name in ["old", "new"] {
        if name == "old" {
            d.file(name, b"old content");
        }
        let mut stream = fopen(d.at(name), "w")?;
        assert_eq!(sys::stat(d.at(name))?.st_size, 0);
        assert_eq!(stream.write(b"abc"), 3);
        stream.close()?;
        assert_eq!(content(d.at(name)), b"abc");
    }
    Ok(())
}

fn mode_a_appends_wherever_it_is(d: &Dir) -> Outcome {
    let mut stream = fopen(d.file("f", b"abc"), "a")?;
    stream.write(b"d");
    stream.flush()?;
    stream.seek(0, SEEK_SET)?;
    stream.write(b"e");
    stream.close()?;
    assert_eq!(content(d.at("f")), b"abcde");
    Ok(())
}

fn mode_r_plus_reads_and_writes(d: &Dir) -> Outcome {
    let mut stream = fopen(d.file("f", b"abcdef"), "r+")?;
    assert_eq!(stream.read(2), b"ab");
    stream.seek(0, SEEK_CUR)?;
    stream.write(b"XY");
    stream.seek(0, SEEK_SET)?;
    assert_eq!(stream.read(10), b"abXYef");
    Ok(())
}

fn mode_w_plus_reads_back(d: &Dir) -> Outcome {
    let mut stream = fopen(d.file("f", b"old"), "w+")?;
    stream.write(b"hello");
    stream.seek(1, SEEK_SET)?;
    assert_eq!(stream.read(10), b"ello");
    Ok(())
}

fn mode_a_plus_reads_from_the_start_and_writes_at_the_end(d: &Dir) -> Outcome {
    let mut stream = fopen(d.file("f", b"abc"), "a+")?;
    assert_eq!(stream.read(2), b"ab", "reading starts at the beginning");
    stream.seek(0, SEEK_SET)?;
    stream.write(b"d");
    stream.flush()?;
    assert_eq!(stream.tell()?, 4);
    stream.seek(0, SEEK_SET)?;
    assert_eq!(stream.read(10), b"abcd");
    Ok(())
}

fn mode_x_is_exclusive_and_e_closes_on_exec(d: &Dir) -> Outcome {
    let stream = fopen(d.at("f"), "wxe")?;
    let flags = sys::fcntl(stream.fileno(), libc::F_GETFD, 0)?;
    assert_eq!(flags, libc::FD_CLOEXEC);
    fails!(EEXIST, fopen(d.at("f"), "wx"));
    let plain = fopen(d.at("f"), "r")?;
    assert_eq!(sys::fcntl(plain.fileno(), libc::F_GETFD, 0)?, 0);
    Ok(())
}

fn fopen_errors(d: &Dir) -> Outcome {
    d.file("f", b"");
    fails!(ENOENT, fopen(d.at("no"), "r"));
    fails!(ENOENT, fopen(d.at("no"), "r+"));
    fails!(ENOENT, fopen(d.at("no/f"), "w"));
    fails!(ENOTDIR, fopen(d.at("f/x"), "w"));
    fails!(EISDIR, fopen(d.path(), "w"));
    fails!(EINVAL, fopen(d.at("f"), "q"));
    let mut directory = fopen(d.path(), "r")?;
    assert!(directory.read(1).is_empty() && directory.failed());
    Ok(())
}

fn new_files_get_mode_666_less_umask(d: &Dir) -> Outcome {
    sys::umask(0o027);
    fopen(d.at("f"), "w")?.close()?;
    assert_eq!(sys::stat(d.at("f"))?.st_mode & 0o777, 0o640);
    Ok(())
}

fn getline_and_getc_read_lines(d: &Dir) -> Outcome {
    let long = "x".repeat(20_000);
    let mut stream = fopen(d.file("f", format!("one\n\n{long}\nlast").as_bytes()), "r")?;
    assert_eq!(stream.getline().as_deref(), Some(b"one\n".as_slice()));
    assert_eq!(stream.getline().as_deref(), Some(b"\n".as_slice()));
    assert_eq!(stream.getline().map(|line| line.len()), Some(20_001));
    assert_eq!(stream.getc(), Some(b'l'));
    assert_eq!(stream.getline().as_deref(), Some(b"ast".as_slice()));
    assert_eq!(stream.getline(), None);
    assert!(stream.at_end());
    Ok(())
}

fn ungetc_pushes_back(d: &Dir) -> Outcome {
    let mut stream = fopen(d.file("f", b"abc"), "r")?;
    assert_eq!(stream.getc(), Some(b'a'));
    stream.ungetc(b'Z')?;
    assert_eq!(stream.tell()?, 0);
    assert_eq!(stream.read(3), b"Zbc");
    assert_eq!(stream.getc(), None);
    stream.ungetc(b'!')?;
    assert!(!stream.at_end());
    assert_eq!(stream.getc(), Some(b'!'));
    assert_eq!(content(d.at("f")), b"abc");
    Ok(())
}

fn seek_and_tell_agree_with_the_file(d: &Dir) -> Outcome {
    let bytes = pattern(30_000, 1);
    let mut stream = fopen(d.file("f", &bytes), "r")?;
    for offset in [0, 1, 4095, 4096, 20_000, 5, 29_999] {
        stream.seek(offset as i64, SEEK_SET)?;
        assert_eq!(stream.tell()?, offset as i64);
        assert_eq!(stream.getc(), Some(bytes[offset]));
        assert_eq!(stream.tell()?, offset as i64 + 1);
    }
    stream.seek(-10, SEEK_END)?;
    assert_eq!(stream.read(20), bytes[29_990..]);
    stream.seek(-30_000, SEEK_CUR)?;
    assert_eq!(stream.tell()?, 0);
    fails!(EINVAL, stream.seek(-1, SEEK_SET));
    Ok(())
}

fn seeking_past_the_end_and_writing_leaves_a_hole(d: &Dir) -> Outcome {
    let mut stream = fopen(d.at("f"), "w")?;
    stream.write(b"a");
    stream.seek(10_000, SEEK_SET)?;
    stream.write(b"b");
    stream.close()?;
    let all = content(d.at("f"));
    assert_eq!(
        (all.len(), all[0], all[5000], all[10_000]),
        (10_001, b'a', 0, b'b')
    );
    Ok(())
}

fn end_of_file_and_error_flags(d: &Dir) -> Outcome {
    let mut stream = fopen(d.file("f", b"abc"), "r")?;
    assert_eq!(stream.read(3), b"abc");
    assert!(!stream.at_end(), "only an attempt finds the end");
    assert!(stream.read(1).is_empty());
    assert!(stream.at_end() && !stream.failed());
    stream.seek(0, SEEK_SET)?;
    assert!(!stream.at_end());
    assert_eq!(stream.read(10), b"abc");
    Ok(())
}

fn fdopen_starts_at_the_offset_and_closes(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abcdef");
    sys::lseek(&fd, 2, SEEK_SET)?;
    let number = fd.raw();
    let mut stream = sys::fdopen(fd, "r+")?;
    assert_eq!(stream.fileno(), number);
    assert_eq!(stream.read(2), b"cd");
    stream.close()?;
    fails!(EBADF, sys::fstat(number));
    let reader = sys::open(d.at("f"), libc::O_RDONLY, 0)?;
    fails!(EINVAL, sys::fdopen(reader, "w"));
    Ok(())
}

fn freopen_switches_files(d: &Dir) -> Outcome {
    d.file("one", b"first");
    d.file("two", b"second");
    let mut stream = fopen(d.at("one"), "r")?;
    let number = stream.fileno();
    assert_eq!(stream.read(5), b"first");
    stream.reopen(Some(d.at("two").as_os_str()), "r")?;
    assert_eq!(stream.read(10), b"second");
    assert_eq!(stream.fileno(), number);
    let outside = d.outside().join("o");
    std::fs::write(&outside, b"outside").map_err(sys::Errno::from)?;
    stream.reopen(Some(outside.as_os_str()), "r")?;
    assert_eq!(stream.read(10), b"outside");
    stream.reopen(Some(d.at("one").as_os_str()), "r")?;
    assert_eq!(stream.read(10), b"first");
    Ok(())
}

fn freopen_changes_the_mode(d: &Dir) -> Outcome {
    let mut stream = fopen(d.file("f", b"abc"), "r")?;
    assert_eq!(stream.read(1), b"a");
    stream.reopen(None, "a")?;
    assert_eq!(stream.write(b"d"), 1);
    stream.close()?;
    assert_eq!(content(d.at("f")), b"abcd");
    Ok(())
}

fn fileno_names_the_descriptor(d: &Dir) -> Outcome {
    let stream = fopen(d.file("f", b"abc"), "r")?;
    assert_eq!(
        sys::fstat(stream.fileno())?.st_ino,
        sys::stat(d.at("f"))?.st_ino
    );
    Ok(())
}

fn unbuffered_writes_arrive_at_once(d: &Dir) -> Outcome {
    let mut stream = fopen(d.at("f"), "w")?;
    stream.set_buffer(libc::_IONBF, 0)?;
    for length in 1..10 {
        stream.write(b"x");
        assert_eq!(sys::stat(d.at("f"))?.st_size, length);
    }
    Ok(())
}

fn line_buffered_writes_arrive_with_the_newline(d: &Dir) -> Outcome {
    let mut stream = fopen(d.at("f"), "w")?;
    stream.set_buffer(libc::_IOLBF, 4096)?;
    stream.write(b"half");
    assert_eq!(sys::stat(d.at("f"))?.st_size, 0);
    stream.write(b" line\n");
    assert_eq!(sys::stat(d.at("f"))?.st_size, 10);
    Ok(())
}

fn fully_buffered_writes_arrive_at_flush(d: &Dir) -> Outcome {
    let mut stream = fopen(d.at("f"), "w")?;
    stream.set_buffer(libc::_IOFBF, 65_536)?;
    stream.write(b"line\nline\n");
    assert_eq!(sys::stat(d.at("f"))?.st_size, 0);
    stream.flush()?;
    assert_eq!(sys::stat(d.at("f"))?.st_size, 10);
    stream.write(b"more");
    sys::flush_all();
    assert_eq!(sys::stat(d.at("f"))?.st_size, 14);
    Ok(())
}

fn fflush_gives_read_ahead_back(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abcdefghij");
    let mut stream = sys::fdopen(sys::dup(&fd)?, "r")?;
    assert_eq!(stream.read(3), b"abc");
    stream.flush()?;
    assert_eq!(sys::lseek(&fd, 0, SEEK_CUR)?, 3);
    let mut byte = [0; 1];
    sys::read(&fd, &mut byte)?;
    assert_eq!(&byte, b"d");
    Ok(())
}

fn large_transfers_round_trip(d: &Dir) -> Outcome {
    let bytes = pattern(5_000_000, 2);
    let mut stream = fopen(d.at("f"), "w+")?;
    assert_eq!(stream.write(&bytes), bytes.len());
    stream.seek(0, SEEK_SET)?;
    assert!(stream.read(6_000_000) == bytes);
    stream.close()?;
    assert!(content(d.at("f")) == bytes);
    Ok(())
}

fn fprintf_formats(d: &Dir) -> Outcome {
    let mut stream = fopen(d.at("f"), "w")?;
    assert_eq!(sys::fprintf(&mut stream, "text", 42), 8);
    stream.close()?;
    assert_eq!(content(d.at("f")), b"text 42\n");
    Ok(())
}

fn tmpfile_reads_back(_: &Dir) -> Outcome {
    let mut stream = sys::tmpfile()?;
    assert_eq!(stream.write(b"abc"), 3);
    stream.seek(0, SEEK_SET)?;
    assert_eq!(stream.read(10), b"abc");
    assert_eq!(sys::fstat(stream.fileno())?.st_nlink, 0);
    Ok(())
}

fn switching_between_reading_and_writing(d: &Dir) -> Outcome {
    let mut stream = fopen(d.file("f", &pattern(10_000, 3)), "r+")?;
    let mut model = pattern(10_000, 3);
    for round in 0..100_usize {
        let place = round * 97;
        stream.seek(place as i64, SEEK_SET)?;
        assert_eq!(stream.read(10), model[place..place + 10]);
        stream.seek(place as i64 + 3, SEEK_SET)?;
        stream.write(b"new");
        model[place + 3..place + 6].copy_from_slice(b"new");
    }
    stream.close()?;
    assert!(content(d.at("f")) == model);
    Ok(())
}

fn stream_and_descriptor_agree_after_flush(d: &Dir) -> Outcome {
    let mut stream = fopen(d.at("f"), "w")?;
    stream.write(b"abc");
    stream.flush()?;
    sys::write(stream.fileno(), b"DEF")?;
    stream.write(b"ghi");
    stream.close()?;
    assert_eq!(content(d.at("f")), b"abcDEFghi");
    Ok(())
}

fn fclose_reports_and_frees_the_descriptor(d: &Dir) -> Outcome {
    let first = fopen(d.file("f", b""), "r")?;
    let number = first.fileno();
    first.close()?;
    for _ in 0..3000 {
        let stream = fopen(d.at("f"), "r")?;
        assert_eq!(stream.fileno(), number);
        stream.close()?;
    }
    Ok(())
}

fn offsets_beyond_4_gib(d: &Dir) -> Outcome {
    let mut stream = fopen(d.at("f"), "w+")?;
    stream.seek(5 << 30, SEEK_SET)?;
    stream.write(b"far");
    assert_eq!(stream.tell()?, (5 << 30) + 3);
    stream.seek(-3, SEEK_END)?;
    assert_eq!(stream.read(3), b"far");
    Ok(())
}
