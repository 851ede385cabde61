//! What is accepted and what is not.

use super::*;

fn root_of(v: &[u8]) -> Option<Vec<u8>> {
    let mut to = [0; PATH];
    normal_root(v, &mut to).map(|n| to[..n].to_vec())
}

#[test]
fn a_root_is_absolute_and_normalised() {
    assert_eq!(root_of(b"/flac"), Some(b"/flac".to_vec()));
    assert_eq!(root_of(b"//mnt/./flac//"), Some(b"/mnt/flac".to_vec()));
    for bad in [&b"flac"[..], b"/", b"/a/../b", b"", b"./x"] {
        assert_eq!(root_of(bad), None);
    }
}

#[test]
fn sizes_are_checked() {
    let whole = || 1000 << 30;
    assert_eq!(size(b"512M", whole), Some(512 << 20));
    assert_eq!(size(b"4g", whole), Some(4 << 30));
    assert_eq!(size(b"50%", whole), Some((1000u64 << 30) / 100 * 50));
    assert_eq!(size(b"67108864", whole), Some(64 << 20));
    for bad in [&b"M"[..], b"", b"12Q", b"0%", b"101%", b"1K", b"-5G", b"99999999999999999999G", b"1.5G", b"5 G"] {
        assert_eq!(size(bad, whole), None, "{}", Shown(bad));
    }
}

fn settled(entries: &[&'static [u8]]) -> (u8, Box<Settings>) {
    let (mut env, mut s) = (Environment::default(), Box::new(Settings::new()));
    entries.iter().for_each(|e| env.take(e));
    (env.settle(&mut s), s)
}

#[test]
fn without_a_root_flac_is_off() {
    assert_eq!(settled(&[b"HOME=/root", b"FLAC_POOL=/p"]).0, OFF);
    assert_eq!(settled(&[b"FLAC_ROOT="]).0, OFF);
}

#[test]
fn the_pool_has_a_default() {
    let (state, s) = settled(&[b"FLAC_ROOT=/flac/", b"HOME=/home/u"]);
    assert_eq!((state, s.root(), s.pool()), (ON, &b"/flac"[..], &b"/home/u/.local/share/flac"[..]));
    let (_, s) = settled(&[b"FLAC_ROOT=/flac", b"HOME=/home/u", b"XDG_DATA_HOME=/data"]);
    assert_eq!(s.pool(), b"/data/flac");
    let (_, s) = settled(&[b"FLAC_ROOT=/flac", b"XDG_DATA_HOME=/data", b"FLAC_POOL=/pool"]);
    assert_eq!(s.pool(), b"/pool");
}

#[test]
fn texts_lie_side_by_side_and_have_a_longest() {
    let (state, s) = settled(&[b"FLAC_ROOT=/a//b/", b"FLAC_STATS=/tmp/s", b"FLAC_POOL=/pool"]);
    assert_eq!((state, s.root(), s.stats(), s.pool()), (ON, &b"/a/b"[..], &b"/tmp/s"[..], &b"/pool"[..]));
    assert_eq!(s.used, 4 + 6 + 5);
    let long = |name: &str, len: usize| -> &'static [u8] { format!("{name}=/{}", "x".repeat(len - 1)).leak().as_bytes() };
    assert_eq!(settled(&[b"FLAC_ROOT=/flac", long("FLAC_POOL", PATH)]).0, BAD);
    assert_eq!(settled(&[b"FLAC_ROOT=/flac", b"HOME=/h", long("FLAC_STATS", PATH)]).0, BAD);
    assert_eq!(settled(&[b"HOME=/h", long("FLAC_ROOT", PATH)]).0, OFF);
    let most = PATH - 1;
    let (state, s) = settled(&[long("FLAC_ROOT", most), long("FLAC_POOL", most), long("FLAC_STATS", most)]);
    assert_eq!((state, s.root().len(), s.pool().len(), s.stats().len()), (ON, most, most, most));
}

#[test]
fn bad_values_are_found() {
    for bad in [&b"FLAC_DRAM=lots"[..], b"FLAC_ATTACH=maybe", b"FLAC_IO_URING=maybe", b"FLAC_LOG=loud"] {
        assert_eq!(settled(&[bad, b"FLAC_ROOT=/flac", b"HOME=/h"]).0, BAD, "{}", Shown(bad));
    }
    assert_eq!(settled(&[b"FLAC_ROOT=/flac"]).0, BAD, "no pool and no HOME");
    assert_eq!(settled(&[b"FLAC_ROOT=relative", b"HOME=/h"]).0, OFF, "no path is FLAC's");
}

#[test]
fn what_exec_says_is_read_back() {
    let exec = |token, exe| Some(Exec { pid: 12, token, exe, idle: false });
    assert_eq!(Exec::parse(b"12:7:1:2f:0"), exec(Some(7), (1, 0x2f)));
    assert_eq!(Exec::parse(b"12::0:0:1"), exec(None, (0, 0)));
    assert_eq!(Exec::parse(b"12:7:0:0:0:LD_PRELOAD=a:b"), exec(Some(7), (0, 0)));
    assert_eq!(Exec::parse(b"12:7:0:0:3s2:LD_PRELOAD=a:b"), exec(Some(7), (0, 0)).map(|e| Exec { idle: true, ..e }));
    assert_eq!(Exec::parse(b"12"), None);
}
