//! `bin_dir MAJOR`: prints the directory with `initdb` and `postgres` of this version, fetched if need be. For scripts.

fn main() {
    let Some(major) = std::env::args().nth(1).and_then(|arg| arg.parse().ok()) else {
        eprintln!("usage: bin_dir MAJOR");
        std::process::exit(2);
    };
    match walspring_throwaway_postgres::packages::bin_dir(Some(major), &|line| eprintln!("{line}")) {
        Ok(dir) => println!("{}", dir.display()),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}
