// SPDX-License-Identifier: Apache-2.0
// Finds libminimax: in MINIMAX_LIB_DIR, else where pkg-config says.
use std::env;
use std::process::Command;

// Programs of this package find the library where it was linked from, wherever that is.
fn link_from(folder: &str) {
    println!("cargo:rustc-link-search=native={folder}");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
}

fn ask_pkg_config() -> Result<String, String> {
    let program = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".to_string());
    let answer = Command::new(&program)
        .args(["--libs", "minimax"])
        .output()
        .map_err(|error| format!("{program} cannot be run: {error}"))?;
    if answer.status.success() {
        Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&answer.stderr).lines().next().unwrap_or_default().to_string())
    }
}

fn main() {
    for name in ["MINIMAX_LIB_DIR", "PKG_CONFIG", "PKG_CONFIG_PATH", "DOCS_RS"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    if env::var_os("DOCS_RS").is_some() {
        return; // documentation needs no library
    }
    if let Ok(folder) = env::var("MINIMAX_LIB_DIR") {
        link_from(&folder);
        println!("cargo:rustc-link-lib=minimax");
        return;
    }
    let flags = ask_pkg_config().unwrap_or_else(|reason| {
        panic!("libminimax was not found: set MINIMAX_LIB_DIR to its folder, or install it so that pkg-config knows it ({reason})")
    });
    for flag in flags.split_whitespace() {
        if let Some(folder) = flag.strip_prefix("-L") {
            link_from(folder);
        } else if let Some(name) = flag.strip_prefix("-l") {
            println!("cargo:rustc-link-lib={name}");
        } else {
            println!("cargo:rustc-link-arg={flag}");
        }
    }
}
