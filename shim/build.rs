//! Links the shim so that the loader initialises it before every other library: what it replaces (libc's standard streams) must not have been copied by
//! a constructor before (libstdc++'s does).
fn main() {
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,initfirst");
    println!("cargo:rerun-if-changed=build.rs");
}
