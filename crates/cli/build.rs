//! With the feature `cuda`, where the program finds CUDA's libraries when it starts: in the toolkit it was built with.

fn main() {
    println!("cargo:rerun-if-env-changed=CUDA_HOME");
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_CUDA").is_some()
        && let Some(home) = std::env::var_os("CUDA_HOME").filter(|home| !home.is_empty())
    {
        println!("cargo:rustc-link-arg-bins=-Wl,-rpath,{}", std::path::Path::new(&home).join("lib64").display());
    }
}
