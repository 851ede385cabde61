//! The name by which programs that were linked with `libflac.so` look for it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libflac.so.0");
}
