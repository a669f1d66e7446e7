//! With the feature `cuda`, where the program finds CUDA's libraries when it starts: in the toolkit it was built with.

fn main() {
    println!("cargo:rerun-if-env-changed=CUDA_HOME");
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_CUDA").is_some()
        && let Some(home) = std::env::var_os("CUDA_HOME").filter(|home| !home.is_empty())
    {
        // As a path for all that is loaded later too: NVRTC and cuDNN look for parts of theirs when they are first used.
        println!("cargo:rustc-link-arg-bins=-Wl,--disable-new-dtags,-rpath,{}", std::path::Path::new(&home).join("lib64").display());
    }
}
