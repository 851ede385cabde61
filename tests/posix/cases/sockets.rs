//! Unix sockets with names in the file system.

use crate::case::{Dir, Outcome, cases, fails, skip};
use crate::sys;
use libc::{O_PATH, O_RDONLY, S_IFMT, S_IFSOCK, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

cases![
    a_bound_socket_is_a_node_of_its_type,
    streams_connect_by_path,
    packets_connect_by_path,
    both_ends_know_the_name_that_was_given,
    relative_names_start_at_the_working_directory,
    datagrams_are_sent_by_path,
    messages_are_sent_by_path,
    other_processes_connect,
    a_name_that_exists_is_eaddrinuse,
    a_socket_is_bound_once,
    what_is_no_socket_refuses_and_what_is_missing_is_enoent,
    a_socket_that_is_gone_refuses_and_its_name_stays,
    the_name_may_be_moved_linked_and_removed,
    symbolic_links_lead_to_the_socket,
    umask_and_mode_decide_about_the_node,
    connecting_needs_permission_to_write,
    binding_needs_permission_to_write_the_directory,
    paths_of_108_bytes_fit_and_longer_ones_do_not,
    abstract_names_are_no_paths,
    opening_a_socket_is_enxio,
    small_rooms_cut_the_address,
    sockets_outside_are_reached_from_inside,
];

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// A short relative name: the path of a case may be longer than an address.
const NAME: &[u8] = b"s";

fn listener(path: &[u8]) -> sys::Sys<sys::Fd> {
    let socket = sys::socket(SOCK_STREAM)?;
    sys::bind(&socket, path)?;
    sys::listen(&socket)?;
    Ok(socket)
}

fn a_bound_socket_is_a_node_of_its_type(d: &Dir) -> Outcome {
    let socket = sys::socket(SOCK_STREAM)?;
    sys::bind(&socket, bytes(&d.at("s")))?;
    let stat = sys::stat(d.at("s"))?;
    assert_eq!((stat.st_mode & S_IFMT, stat.st_nlink, stat.st_size), (S_IFSOCK, 1, 0));
    assert_eq!((stat.st_uid, stat.st_gid), sys::identity());
    assert_eq!(sys::fstat(&socket)?.st_mode & S_IFMT, S_IFSOCK);
    assert_ne!(sys::fstat(&socket)?.st_ino, stat.st_ino, "a descriptor of a socket is not its name");
    assert_eq!(sys::names_in(d.path())?, ["s"]);
    Ok(())
}

fn connects(kind: i32, d: &Dir) -> Outcome {
    let server = sys::socket(kind)?;
    sys::bind(&server, bytes(&d.at("s")))?;
    sys::listen(&server)?;
    let client = sys::socket(kind)?;
    sys::connect(&client, bytes(&d.at("s")))?;
    let (end, from) = sys::accept(&server)?;
    assert_eq!(from, b"", "the client has no name");
    sys::write(&client, b"hello")?;
    let mut got = [0; 5];
    assert_eq!(sys::read(&end, &mut got)?, 5);
    assert_eq!(&got, b"hello");
    Ok(())
}

fn streams_connect_by_path(d: &Dir) -> Outcome {
    connects(SOCK_STREAM, d)
}

fn packets_connect_by_path(d: &Dir) -> Outcome {
    connects(SOCK_SEQPACKET, d)
}

fn both_ends_know_the_name_that_was_given(d: &Dir) -> Outcome {
    let (path, other) = (d.at("./s"), d.at("c"));
    let server = listener(bytes(&path))?;
    let client = sys::socket(SOCK_STREAM)?;
    sys::bind(&client, bytes(&other))?;
    sys::connect(&client, bytes(&d.at("s")))?;
    let (end, from) = sys::accept(&server)?;
    assert_eq!(from, bytes(&other));
    assert_eq!(sys::getpeername(&client)?, bytes(&path));
    assert_eq!(sys::getpeername(&end)?, bytes(&other));
    for socket in [&server, &end] {
        let (name, length) = sys::getsockname(socket, 110)?;
        assert_eq!((&name[..], length as usize), (bytes(&path), 2 + bytes(&path).len() + 1));
    }
    // In a process that has not bound it, and after the name is gone.
    sys::unlink(&path)?;
    sys::fork(|| assert_eq!(sys::getsockname(&end, 110).expect("a name").0, bytes(&path))).succeeds();
    Ok(())
}

fn relative_names_start_at_the_working_directory(d: &Dir) -> Outcome {
    let server = listener(NAME)?;
    assert_eq!(sys::getsockname(&server, 110)?.0, NAME);
    assert_eq!(sys::stat(d.at("s"))?.st_mode & S_IFMT, S_IFSOCK);
    let client = sys::socket(SOCK_STREAM)?;
    sys::connect(&client, bytes(&d.at("s")))?;
    assert_eq!(sys::getpeername(&client)?, NAME);
    d.dir("sub");
    sys::chdir("sub")?;
    fails!(ENOENT, sys::connect(sys::socket(SOCK_STREAM)?, NAME));
    sys::connect(sys::socket(SOCK_STREAM)?, b"../s")?;
    Ok(())
}

fn datagrams_are_sent_by_path(d: &Dir) -> Outcome {
    let (a, b) = (sys::socket(SOCK_DGRAM)?, sys::socket(SOCK_DGRAM)?);
    sys::bind(&a, bytes(&d.at("a")))?;
    sys::bind(&b, b"b")?;
    assert_eq!(sys::send_to(&a, b"one", b"b")?, 3);
    assert_eq!(sys::receive_from(&b)?, (b"one".to_vec(), bytes(&d.at("a")).to_vec()));
    assert_eq!(sys::send_to(&b, b"two", bytes(&d.at("a")))?, 3);
    assert_eq!(sys::receive_from(&a)?, (b"two".to_vec(), b"b".to_vec()));
    fails!(ENOENT, sys::send_to(&a, b"x", b"none"));
    // Connected, and sent without an address.
    let c = sys::socket(SOCK_DGRAM)?;
    sys::connect(&c, b"b")?;
    assert_eq!(sys::write(&c, b"three")?, 5);
    assert_eq!(sys::receive_from(&b)?, (b"three".to_vec(), b"".to_vec()));
    fails!(EPROTOTYPE, sys::connect(sys::socket(SOCK_STREAM)?, b"b"));
    Ok(())
}

fn messages_are_sent_by_path(d: &Dir) -> Outcome {
    let (a, b) = (sys::socket(SOCK_DGRAM)?, sys::socket(SOCK_DGRAM)?);
    let path = d.at("a");
    sys::bind(&a, bytes(&path))?;
    sys::bind(&b, b"b")?;
    assert_eq!(sys::send_message(&a, b"one", b"b", false)?, 3);
    assert_eq!(sys::receive_message(&b, false)?, (b"one".to_vec(), bytes(&path).to_vec()));
    assert_eq!(sys::send_message(&a, b"two", b"b", true)?, 2);
    for many in [true, false] {
        assert_eq!(sys::receive_message(&b, many)?, (b"two".to_vec(), bytes(&path).to_vec()));
    }
    fails!(ENOENT, sys::send_message(&a, b"x", b"none", false));
    fails!(ENOENT, sys::send_message(&a, b"x", b"none", true));
    Ok(())
}

fn other_processes_connect(d: &Dir) -> Outcome {
    let server = listener(bytes(&d.at("s")))?;
    let child = sys::fork(|| {
        drop(listener(b"t").expect("another socket"));
        let client = sys::socket(SOCK_STREAM).expect("socket");
        sys::connect(&client, b"s").expect("connect");
        sys::write(&client, b"x").expect("write");
    });
    let (end, _) = sys::accept(&server)?;
    assert_eq!(sys::read(&end, &mut [0; 4])?, 1);
    child.succeeds();
    fails!(ECONNREFUSED, sys::connect(sys::socket(SOCK_STREAM)?, b"t"));
    Ok(())
}

fn a_name_that_exists_is_eaddrinuse(d: &Dir) -> Outcome {
    d.file("f", b"");
    d.dir("dir");
    sys::symlink("none", d.at("l"))?;
    let first = listener(NAME)?;
    for name in [&b"f"[..], b"dir", b"l", b"s", b"."] {
        fails!(EADDRINUSE, sys::bind(sys::socket(SOCK_STREAM)?, name));
    }
    fails!(ENOENT, sys::bind(sys::socket(SOCK_STREAM)?, b"new/"));
    fails!(ENOENT, sys::bind(sys::socket(SOCK_STREAM)?, b"none/new"));
    fails!(ENOTDIR, sys::bind(sys::socket(SOCK_STREAM)?, b"f/new"));
    drop(first);
    fails!(EADDRINUSE, sys::bind(sys::socket(SOCK_STREAM)?, NAME));
    sys::unlink("s")?;
    sys::bind(sys::socket(SOCK_STREAM)?, NAME)?;
    Ok(())
}

fn a_socket_is_bound_once(d: &Dir) -> Outcome {
    let socket = listener(NAME)?;
    fails!(EINVAL, sys::bind(&socket, b"other"));
    fails!(EADDRINUSE, sys::bind(&socket, NAME));
    assert_eq!(sys::names_in(d.path())?, ["s"]);
    assert_eq!(sys::getsockname(&socket, 110)?.0, NAME);
    Ok(())
}

fn what_is_no_socket_refuses_and_what_is_missing_is_enoent(d: &Dir) -> Outcome {
    d.file("f", b"");
    d.dir("dir");
    let connect = |name: &[u8]| sys::connect(sys::socket(SOCK_STREAM).expect("socket"), name);
    fails!(ECONNREFUSED, connect(b"f"));
    fails!(ECONNREFUSED, connect(b"dir"));
    fails!(ENOENT, connect(b"none"));
    fails!(ENOTDIR, connect(b"f/s"));
    sys::symlink("none", d.at("l"))?;
    fails!(ENOENT, connect(b"l"));
    Ok(())
}

fn a_socket_that_is_gone_refuses_and_its_name_stays(d: &Dir) -> Outcome {
    drop(listener(NAME)?);
    fails!(ECONNREFUSED, sys::connect(sys::socket(SOCK_STREAM)?, NAME));
    assert_eq!(sys::stat(d.at("s"))?.st_mode & S_IFMT, S_IFSOCK);
    // A node that was never bound.
    let made = sys::socket(SOCK_STREAM)?;
    sys::bind(&made, b"t")?;
    fails!(ECONNREFUSED, sys::connect(sys::socket(SOCK_STREAM)?, b"t"));
    Ok(())
}

fn the_name_may_be_moved_linked_and_removed(d: &Dir) -> Outcome {
    let server = listener(NAME)?;
    sys::rename(d.at("s"), d.at("moved"))?;
    sys::link(d.at("moved"), d.at("second"))?;
    for name in [&b"moved"[..], b"second"] {
        let client = sys::socket(SOCK_STREAM)?;
        sys::connect(&client, name)?;
        assert_eq!(sys::getpeername(&client)?, NAME);
    }
    sys::unlink(d.at("moved"))?;
    sys::connect(sys::socket(SOCK_STREAM)?, b"second")?;
    sys::unlink(d.at("second"))?;
    fails!(ENOENT, sys::connect(sys::socket(SOCK_STREAM)?, b"second"));
    assert_eq!(sys::getsockname(&server, 110)?.0, NAME);
    Ok(())
}

fn symbolic_links_lead_to_the_socket(d: &Dir) -> Outcome {
    let _server = listener(NAME)?;
    sys::symlink("s", d.at("l"))?;
    sys::connect(sys::socket(SOCK_STREAM)?, b"l")?;
    sys::connect(sys::socket(SOCK_STREAM)?, bytes(&d.at("l")))?;
    Ok(())
}

fn umask_and_mode_decide_about_the_node(d: &Dir) -> Outcome {
    sys::bind(sys::socket(SOCK_STREAM)?, b"a")?;
    assert_eq!(sys::stat(d.at("a"))?.st_mode & 0o7777, 0o755);
    sys::umask(0o077);
    sys::bind(sys::socket(SOCK_STREAM)?, b"b")?;
    assert_eq!(sys::stat(d.at("b"))?.st_mode & 0o7777, 0o700);
    sys::umask(0);
    let socket = sys::socket(SOCK_STREAM)?;
    sys::fchmod(&socket, 0o640)?;
    sys::bind(&socket, b"c")?;
    assert_eq!(sys::stat(d.at("c"))?.st_mode & 0o7777, 0o640);
    sys::chmod(d.at("c"), 0o600)?;
    assert_eq!(sys::stat(d.at("c"))?.st_mode & 0o7777, 0o600);
    Ok(())
}

fn connecting_needs_permission_to_write(d: &Dir) -> Outcome {
    if !sys::is_root() {
        return skip("needs root to become another user");
    }
    let _server = listener(NAME)?;
    for (mode, errno) in [(0o755, Some(sys::EACCES)), (0o002, None)] {
        sys::chmod(d.at("s"), mode)?;
        sys::fork(|| {
            sys::become_user(65534).expect("setresuid");
            let client = sys::socket(SOCK_STREAM).expect("socket");
            assert_eq!(sys::connect(&client, NAME).err(), errno);
        })
        .succeeds();
    }
    Ok(())
}

fn binding_needs_permission_to_write_the_directory(d: &Dir) -> Outcome {
    if !sys::is_root() {
        return skip("needs root to become another user");
    }
    d.dir("open");
    sys::chmod(d.at("open"), 0o777)?;
    sys::fork(|| {
        sys::become_user(65534).expect("setresuid");
        fails!(EACCES, sys::bind(sys::socket(SOCK_STREAM).expect("socket"), NAME));
        let server = listener(b"open/s").expect("a socket");
        assert_eq!(sys::stat("open/s").expect("stat").st_uid, 65534);
        sys::connect(sys::socket(SOCK_STREAM).expect("socket"), b"open/s").expect("connect");
        drop(server);
        sys::unlink("open/s").expect("unlink");
    })
    .succeeds();
    Ok(())
}

fn paths_of_108_bytes_fit_and_longer_ones_do_not(_: &Dir) -> Outcome {
    let name = |length: usize| [&[b'.'; 1][..], &b"/".repeat(length - 2), b"s"].concat();
    let server = listener(&name(108))?;
    sys::connect(sys::socket(SOCK_STREAM)?, &name(108))?;
    sys::connect(sys::socket(SOCK_STREAM)?, &name(107))?;
    // Without a NUL where there is no room for one; the kernel counts it all the same.
    assert_eq!(sys::getsockname(&server, 110)?, (name(108), 2 + 108 + 1));
    fails!(EINVAL, sys::bind(sys::socket(SOCK_STREAM)?, &name(109)));
    fails!(EINVAL, sys::connect(sys::socket(SOCK_STREAM)?, &name(109)));
    Ok(())
}

fn abstract_names_are_no_paths(d: &Dir) -> Outcome {
    let name = [b"\0", bytes(&d.at("s"))].concat();
    let server = listener(&name)?;
    let client = sys::socket(SOCK_STREAM)?;
    sys::connect(&client, &name)?;
    assert_eq!(sys::getpeername(&client)?, name);
    assert_eq!(sys::getsockname(&server, 110)?.0, name);
    fails!(ENOENT, sys::stat(d.at("s")));
    assert_eq!(sys::getsockname(&client, 110)?, (vec![], 2));
    Ok(())
}

fn opening_a_socket_is_enxio(d: &Dir) -> Outcome {
    let _server = listener(NAME)?;
    fails!(ENXIO, sys::open(d.at("s"), O_RDONLY, 0));
    let fd = sys::open(d.at("s"), O_PATH, 0)?;
    assert_eq!(sys::fstat(&fd)?.st_mode & S_IFMT, S_IFSOCK);
    sys::connect(sys::socket(SOCK_STREAM)?, format!("/proc/self/fd/{}", sys::Raw::raw(&fd)).as_bytes())?;
    Ok(())
}

fn small_rooms_cut_the_address(_: &Dir) -> Outcome {
    let server = listener(b"name")?;
    assert_eq!(sys::getsockname(&server, 4)?, (b"na".to_vec(), 7));
    assert_eq!(sys::getsockname(&server, 0)?, (b"".to_vec(), 7));
    Ok(())
}

fn sockets_outside_are_reached_from_inside(d: &Dir) -> Outcome {
    sys::symlink(d.outside(), d.at("out"))?;
    sys::symlink(d.path(), d.outside().join("in"))?;
    let _inside = listener(NAME)?;
    let _outside = listener(b"out/t")?;
    assert_eq!(sys::stat(d.outside().join("t"))?.st_mode & S_IFMT, S_IFSOCK);
    sys::connect(sys::socket(SOCK_STREAM)?, bytes(&d.outside().join("t")))?;
    sys::connect(sys::socket(SOCK_STREAM)?, b"out/t")?;
    sys::connect(sys::socket(SOCK_STREAM)?, bytes(&d.outside().join("in/s")))?;
    sys::unlink(d.outside().join("t"))?;
    fails!(ENOENT, sys::connect(sys::socket(SOCK_STREAM)?, b"out/t"));
    Ok(())
}
