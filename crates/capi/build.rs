//! Gives the shared library its SONAME, so that programs record the name under which `make install` puts it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = |key| std::env::var(format!("CARGO_CFG_TARGET_{key}")).unwrap_or_default();
    // Below 1.0 the minor version is the one that may break.
    let (major, minor) = (env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"));
    if target("VENDOR") == "apple" {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libconnlimit.{major}.{minor}.dylib");
    } else {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libconnlimit.so.{major}.{minor}");
    }
}
